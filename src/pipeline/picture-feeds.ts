/** The inputs of a whole detector, with its text encoder if it has one, for one picture. */
import { readImage } from '../data/image.ts';
import { Preprocessor } from '../data/preprocess.ts';
import { detectionOf } from '../models/family.ts';
import { readFixedPrompt } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Feeds } from '../runtime/session.ts';

/**
 * @param tokens the ids of the prompt, special tokens included; a model for fixed phrases has its own
 * @throws UsageError or InputError if the picture cannot be read
 */
export async function pictureFeeds(source: ModelPackage, path: string, tokens: readonly number[]): Promise<Feeds> {
  await using preprocessor = await Preprocessor.create(source.preprocessing);
  const detection = detectionOf(source);
  const prepared = await preprocessor.prepare([await readImage(path)]);
  if (!readFixedPrompt(source.model)) return detection.combinedFeeds(prepared, tokens);
  const inputs = new Set(source.model.graph.input.map(({ name }) => name));
  return detection.imageFeeds(prepared, (name) => inputs.has(name));
}
