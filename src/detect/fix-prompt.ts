/** Makes a model for fixed phrases: the text encoder runs once, and its results become constants. */
import { UsageError } from '../base/errors.ts';
import type { Phrases } from '../data/phrases.ts';
import { detectionOf } from '../models/family.ts';
import { refuseFixedPrompt, storeFixedPrompt } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { Session } from '../runtime/session.ts';

/** A model for fixed phrases, and what is to be said about them. */
export interface FixedModel {
  /** The model, which takes images alone. */
  readonly model: ModelPackage;
  /** Sentences that the user should know, such as that the tokenizer does not know a phrase. */
  readonly warnings: readonly string[];
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
  const detection = detectionOf(source);
  refuseFixedPrompt(source.model, source.source);
  const tokenizer = createTokenizer(source.tokenizer, source.source);
  await using text = await Session.create(detection.extractHalf(source.model, 'text'), kernelOptions(), source.source);
  const length = detection.fixedPromptLength(text.inputs);
  const prompt = detection.createPrompt(phrases, tokenizer, length);
  const [chunk, ...others] = prompt.chunks;
  if (!chunk || others.length > 0)
    throw new UsageError(
      `The phrases fill ${prompt.chunks.length} prompts of ${length ?? detection.longestPrompt} tokens, and a model is made for one; make a model for each part of them.`,
    );
  using encoded = await text.run(detection.textFeeds(chunk, length));
  const model = detection.fixPrompt(source.model, detection.promptFeeds(chunk, encoded, length));
  storeFixedPrompt(model, { phrases: prompt.phrases, chunk });
  return { model: { ...source, model }, warnings: prompt.warnings };
}
