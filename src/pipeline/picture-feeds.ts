/** The inputs of a whole detector, with its text encoder if it has one, for one picture. */
import { readImage } from '../data/image.ts';
import { Preprocessor } from '../data/preprocess.ts';
import { detectionOf } from '../models/family.ts';
import { readFixedPrompts } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Feeds } from '../runtime/session.ts';

/**
 * @param tokens the ids of the prompt, special tokens included; a model for fixed phrases has its own, and one for several prompts takes the first
 * @throws UsageError or InputError if the picture cannot be read
 */
export async function pictureFeeds(source: ModelPackage, path: string, tokens: readonly number[]): Promise<Feeds> {
  await using preprocessor = await Preprocessor.create(source.preprocessing);
  const detection = detectionOf(source);
  const prepared = await preprocessor.prepare([await readImage(path)]);
  const { length } = readFixedPrompts(source.model);
  if (length === 0) return detection.combinedFeeds(prepared, tokens);
  const inputs = new Set(source.model.graph.input.map(({ name }) => name));
  const images = detection.imageFeeds(prepared, (name) => inputs.has(name));
  return length > 1 ? { ...images, ...detection.promptChoice(0) } : images;
}
