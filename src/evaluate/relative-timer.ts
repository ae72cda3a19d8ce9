/** Times variants of a detector beside the float model, so that a drift of the machine's speed favours none of them. */
import { UsageError } from '../base/errors.ts';
import { median } from '../base/statistics.ts';
import type { CocoDataset } from '../data/coco.ts';
import { readImage } from '../data/image.ts';
import { Detector } from '../detect/detector.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Model } from '../onnx/read.ts';

/** Measures the latency of variants of one model. */
export interface VariantTimer extends AsyncDisposable {
  /**
   * The latency of a variant in seconds: the float model's latency times the median ratio of runs that alternate between
   * both.
   */
  time(model: Model): Promise<number>;
}

/**
 * Times variants of `source` on the first image of a data set, with all categories as the prompt.
 * @param runs the number of runs of each model
 * @throws UsageError if the data set has no images, and InputError if the image cannot be read
 * @example
 * await using timer = await createVariantTimer(source, dataset, 20);
 * const seconds = await timer.time(quantized);
 */
export async function createVariantTimer(
  source: ModelPackage,
  dataset: CocoDataset,
  runs: number,
): Promise<VariantTimer> {
  const [image] = dataset.images;
  if (!image) throw new UsageError('The data set has no images; there is nothing to measure.');
  const picture = await readImage(dataset.pathOf(image));
  const phrases = dataset.categories.map(({ name }) => name);
  const reference = await Detector.create(source);
  const prompt = await reference.encodePrompt(phrases);
  const prepared = await reference.prepare(picture);
  const timeReference = () => reference.time(prepared, prompt);
  const alone: number[] = [];
  for (let run = 0; run < runs; run++) alone.push(await timeReference());
  const referenceSeconds = median(alone);
  return {
    async time(model) {
      await using detector = await Detector.create({ ...source, model });
      const own = await detector.encodePrompt(phrases);
      await detector.time(prepared, own); // The first run is slower, so it does not count.
      const ratios: number[] = [];
      for (let run = 0; run < runs; run++) {
        const seconds = await timeReference();
        ratios.push((await detector.time(prepared, own)) / seconds);
      }
      return referenceSeconds * median(ratios);
    },
    [Symbol.asyncDispose]: () => reference[Symbol.asyncDispose](),
  };
}
