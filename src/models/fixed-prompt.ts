/**
 * A model for fixed phrases: the features of its prompt are constants, so that it has no text encoder and takes images alone. The
 * phrases and their tokens travel in its metadata. A model for several prompts has a name for each, and an input that chooses one.
 */
import { z } from 'zod';
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { parseWith } from '../base/schema.ts';
import { MOST_PROMPTS, promptKey, promptNameSchema, sameNames } from '../data/named-prompts.ts';
import { getMetadata, removeMetadata, setMetadata } from '../onnx/metadata.ts';
import type { Model } from '../onnx/read.ts';
import type { PromptChunk } from './detection-family.ts';

/** The key of the metadata of a model for one prompt. */
const ONE = 'dino8.prompt';
/** The key of the metadata of a model for several. */
const SEVERAL = 'dino8.prompts';
/** More phrases or tokens are in no prompt. */
const MOST = 10_000;

/** A prompt of a model for fixed phrases. */
export interface FixedPrompt {
  /** The name by which it is chosen; a model for one prompt needs none. */
  readonly name?: string | undefined;
  /** The phrases, as they were given. */
  readonly phrases: readonly string[];
  /** Their tokens, and the place of each phrase among them. */
  readonly chunk: PromptChunk;
}

const index = z.number().int().min(0).max(MOST);

/** The schema of a prompt in the metadata of a model for fixed phrases. */
const promptSchema = z
  .object({
    name: promptNameSchema.optional(),
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

/** The schema of the prompts of a model for fixed phrases. */
export const promptsSchema = z
  .array(promptSchema)
  .min(1)
  .max(MOST_PROMPTS)
  .refine(
    (prompts) => prompts.length === 1 || prompts.every(({ name }) => name !== undefined),
    'each of several prompts must have a name',
  )
  .refine((prompts) => !sameNames(prompts.flatMap(({ name }) => name ?? [])), 'two prompts have the same name')
  .readonly();

/** Writes the prompts into the metadata of a model that is made for them. */
export function storeFixedPrompts(model: Model, prompts: readonly FixedPrompt[]): void {
  for (const key of [ONE, SEVERAL]) removeMetadata(model, key);
  const [only, ...others] = prompts;
  if (others.length > 0) setMetadata(model, SEVERAL, JSON.stringify(prompts));
  else setMetadata(model, ONE, JSON.stringify(only));
}

/**
 * Returns the prompts that a model is made for, in the order in which its input counts them; none if it takes any phrases.
 *
 * @throws InputError if the metadata is damaged
 * @example
 * const prompts = readFixedPrompts((await readPackage('forklifts.onnx')).model);
 * console.log(prompts.map(({ name, phrases }) => `${name}: ${phrases}`));
 */
export function readFixedPrompts(model: Model): readonly FixedPrompt[] {
  const [one, several] = [getMetadata(model, ONE), getMetadata(model, SEVERAL)];
  if (one !== undefined && several !== undefined)
    throw new InputError(`The model has both ${ONE} and ${SEVERAL} in its metadata; remove the wrong one.`);
  if (several !== undefined) return parsed(several, promptsSchema, SEVERAL);
  return one === undefined ? [] : [parsed(one, promptSchema, ONE)];
}

function parsed<T extends z.ZodType>(text: string, schema: T, key: string): z.output<T> {
  const name = `The metadata ${key} of the model`;
  try {
    return parseWith(schema, JSON.parse(text), name);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError(`${name} is no JSON (${messageOf(error)}).`);
  }
}

/** @throws InputError if a model is made for fixed phrases, where one is needed that takes any */
export function refuseFixedPrompt(model: Model, source: string): void {
  const fixed = readFixedPrompts(model);
  if (fixed.length > 0)
    throw new InputError(
      `${source} is made for ${promptsInWords(fixed)} and has no text encoder, which this step needs; use the model that it was made from.`,
    );
}

/**
 * Returns the place of the prompt of a name.
 * @throws UsageError that lists the names if there is no such prompt
 */
export function findFixedPrompt(prompts: readonly FixedPrompt[], name: string): number {
  const index = prompts.findIndex((prompt) => prompt.name !== undefined && promptKey(prompt.name) === promptKey(name));
  if (index >= 0) return index;
  const names = namesOf(prompts);
  throw new UsageError(
    names === ''
      ? `The model has no named prompts, of which \`prompt\` could choose "${name.slice(0, 60)}"; leave it out.`
      : `The model has no prompt "${name.slice(0, 60)}"; its prompts are ${names}.`,
  );
}

/** @throws UsageError that lists the names if there are several prompts, of which none was chosen */
export function requireChoice(prompts: readonly FixedPrompt[]): void {
  if (prompts.length > 1)
    throw new UsageError(`The model has several prompts; choose one of ${namesOf(prompts)} by \`prompt\`.`);
}

const namesOf = (prompts: readonly FixedPrompt[]): string => prompts.flatMap(({ name }) => name ?? []).join(', ');

/** Prompts as they stand in a sentence behind "made for". */
export function promptsInWords(prompts: readonly FixedPrompt[]): string {
  const [first, ...others] = prompts;
  if (first && others.length === 0 && first.name === undefined) return `the phrases ${listed(first.phrases)}`;
  const each = prompts.map(({ name, phrases }) => `${name} (${listed(phrases)})`);
  return `the prompt${others.length > 0 ? 's' : ''} ${each.join(', ')}`;
}

const listed = (phrases: readonly string[]): string => `"${phrases.join(', ').slice(0, 200)}"`;
