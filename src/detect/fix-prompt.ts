/** Makes a model for fixed phrases: the text encoder runs once for each prompt, and its results become constants. */
import { UsageError } from '../base/errors.ts';
import { checkPromptNames, type NamedPrompts } from '../data/named-prompts.ts';
import { listPhrases, type Phrases } from '../data/phrases.ts';
import { detectionOf } from '../models/family.ts';
import { type FixedPrompt, refuseFixedPrompt, storeFixedPrompts } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type Feeds, Session } from '../runtime/session.ts';

/** A model for fixed phrases, and what is to be said about them. */
export interface FixedModel {
  /** The model, which takes images, and the number of a prompt if it has several. */
  readonly model: ModelPackage;
  /** Sentences that the user should know, such as that the tokenizer does not know a phrase. */
  readonly warnings: readonly string[];
}

/** A prompt that is to be fixed. */
interface AskedPrompt {
  readonly name?: string;
  readonly phrases: Phrases;
}

/**
 * Returns a copy of a detector that looks for the given phrases only. It has no text encoder and computes the same boxes.
 *
 * @param phrases as for `Detector.encodePrompt`; they must fit into one prompt
 * @throws UsageError if there is no phrase, or if they are too long for one prompt
 * @example
 * const { model } = await fixPrompt(await readPackage('tiny.int8.onnx'), ['forklift', 'person without helmet']);
 * await writePackage(model, 'forklifts.onnx');
 */
export async function fixPrompt(source: ModelPackage, phrases: Phrases): Promise<FixedModel> {
  return fixAll(source, [{ phrases }]);
}

/**
 * Returns a copy of a detector for several prompts, of which a name chooses one. With each it computes the boxes of the model that
 * `fixPrompt` makes for this prompt alone.
 *
 * @param prompts phrases by the names of the prompts
 * @throws UsageError if there is no prompt, one without phrases or too long, too many, or a name that is not possible
 * @example
 * const prompts = { safety: ['helmet', 'person without helmet'], vehicles: ['forklift', 'truck'] };
 * const { model } = await fixPrompts(await readPackage('tiny.int8.onnx'), prompts);
 * await writePackage(model, 'yard.onnx');
 */
export async function fixPrompts(source: ModelPackage, prompts: NamedPrompts): Promise<FixedModel> {
  const asked = Object.entries(prompts).map(([name, phrases]) => ({ name, phrases }));
  if (asked.length === 0) throw new UsageError('`prompts` has no prompt; give phrases by the name of a prompt.');
  checkPromptNames(asked.map(({ name }) => name));
  for (const { name, phrases } of asked)
    if (listPhrases(phrases).length === 0)
      throw new UsageError(`The prompt "${name}" has no phrases; name what to find, as in "red circle, blue square".`);
  return fixAll(source, asked);
}

async function fixAll(source: ModelPackage, asked: readonly AskedPrompt[]): Promise<FixedModel> {
  const detection = detectionOf(source);
  refuseFixedPrompt(source.model, source.source);
  const tokenizer = createTokenizer(source.tokenizer, source.source);
  await using text = await Session.create(detection.extractHalf(source.model, 'text'), kernelOptions(), source.source);
  const length = detection.fixedPromptLength(text.inputs);
  const prompts: FixedPrompt[] = [];
  const warnings = new Set<string>();
  for (const { name, phrases } of asked) {
    const prompt = detection.createPrompt(phrases, tokenizer, length);
    const [chunk, ...others] = prompt.chunks;
    if (!chunk || others.length > 0)
      throw new UsageError(
        `The phrases${name === undefined ? '' : ` of the prompt "${name}"`} fill ${prompt.chunks.length} prompts of ${length ?? detection.longestPrompt} tokens, and a model is made for one; ${name === undefined ? 'make a model' : 'give a prompt a name'} for each part of them.`,
      );
    prompts.push({ name, phrases: prompt.phrases, chunk });
    for (const sentence of prompt.warnings) warnings.add(sentence);
  }
  const feeds: Feeds[] = [];
  for (const { chunk } of prompts) {
    using encoded = await text.run(detection.textFeeds(chunk, length));
    feeds.push(detection.promptFeeds(chunk, encoded, length));
  }
  const model = detection.fixPrompts(source.model, feeds);
  storeFixedPrompts(model, prompts);
  return { model: { ...source, model }, warnings: [...warnings] };
}
