/** Images of a dataset as inputs of the combined model, one at a time: what calibration runs on. */
import type { CocoDataset } from '../data/coco.ts';
import { longestText } from '../model/config.ts';
import type { ModelPackage } from '../model/package.ts';
import type { Feeds } from '../runtime/session.ts';
import { combinedFeeds } from './combined-feeds.ts';
import { readImage } from './image.ts';
import { Preprocessor } from './preprocess.ts';
import { createPrompt } from './prompt.ts';
import { createTokenizer } from './tokenizer.ts';

/** Each image with the dataset's categories as its phrases; if they need several chunks, the images take turns. */
export async function* calibrationFeeds(
  { config, preprocessing, tokenizer, source }: ModelPackage,
  dataset: CocoDataset,
): AsyncGenerator<Feeds> {
  const phrases = dataset.categories.map((category) => category.name);
  const { chunks } = createPrompt(phrases, createTokenizer(tokenizer, source), longestText(config));
  await using preprocessor = await Preprocessor.create(preprocessing);
  for (const [index, image] of dataset.images.entries()) {
    const prepared = await preprocessor.prepare([await readImage(dataset.pathOf(image))]);
    yield combinedFeeds(prepared, chunks[index % chunks.length]?.tokens ?? []);
  }
}
