/**
 * A model for fixed phrases: the features of its prompt are constants, so that it has no text encoder and takes images alone. The
 * phrases and their tokens travel in its metadata.
 */
import { z } from 'zod';
import { InputError, messageOf } from '../base/errors.ts';
import { parseWith } from '../base/schema.ts';
import { getMetadata, setMetadata } from '../onnx/metadata.ts';
import type { Model } from '../onnx/read.ts';
import type { PromptChunk } from './detection-family.ts';

const METADATA_KEY = 'dino8.prompt';
/** More phrases or tokens are in no prompt. */
const MOST = 10_000;

/** The prompt of a model for fixed phrases. */
export interface FixedPrompt {
  /** The phrases, as they were given. */
  readonly phrases: readonly string[];
  /** Their tokens, and the place of each phrase among them. */
  readonly chunk: PromptChunk;
}

const index = z.number().int().min(0).max(MOST);

/** The schema of the prompt in the metadata of a model for fixed phrases. */
export const promptSchema = z
  .object({
    phrases: z.array(z.string()).min(1).max(MOST).readonly(),
    chunk: z.object({
      tokens: z.array(z.number().int().min(0)).max(MOST).readonly(),
      phrases: z
        .array(z.object({ phrase: index, begin: index, end: index }))
        .max(MOST)
        .readonly(),
    }),
  })
  .refine(
    ({ phrases, chunk }) =>
      chunk.phrases.every(
        ({ phrase, begin, end }) => phrase < phrases.length && begin < end && end <= chunk.tokens.length,
      ),
    'a phrase is not among the tokens',
  );

/** Writes the prompt into the metadata of a model that is made for it. */
export function storeFixedPrompt(model: Model, prompt: FixedPrompt): void {
  setMetadata(model, METADATA_KEY, JSON.stringify(prompt));
}

/**
 * Returns the prompt that a model is made for; undefined if it takes any phrases.
 *
 * @throws InputError if the metadata is damaged
 * @example
 * const prompt = readFixedPrompt((await readPackage('forklifts.onnx')).model);
 * console.log(prompt?.phrases);
 */
export function readFixedPrompt(model: Model): FixedPrompt | undefined {
  const text = getMetadata(model, METADATA_KEY);
  if (text === undefined) return undefined;
  const name = `The metadata ${METADATA_KEY} of the model`;
  try {
    return parseWith(promptSchema, JSON.parse(text), name);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError(`${name} is no JSON (${messageOf(error)}).`);
  }
}

/** @throws InputError if a model is made for fixed phrases, where one is needed that takes any */
export function refuseFixedPrompt(model: Model, source: string): void {
  const fixed = readFixedPrompt(model);
  if (fixed)
    throw new InputError(
      `${source} is made for the phrases ${listed(fixed.phrases)} and has no text encoder, which this step needs; use the model that it was made from.`,
    );
}

/** Phrases as they stand in a sentence. */
export const listed = (phrases: readonly string[]): string => `"${phrases.join(', ').slice(0, 200)}"`;
