/** Times variants of a model beside the float model, so that a drift of the machine's speed favours none of them. */
import { checkValue, objectWith, wholeNumber } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { median } from '../base/statistics.ts';
import { type CocoDataset, checkDatasetArgument, phraseCategories } from '../data/coco.ts';
import { readImage } from '../data/image.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { Detector } from '../detect/detector.ts';
import { checkLoadedArgument } from '../models/family.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import type { Model } from '../onnx/read.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type Feeds, Session } from '../runtime/session.ts';

/** Measures the latency of variants of one model. */
export interface VariantTimer extends AsyncDisposable {
  /**
   * The latency of a variant in seconds: the float model's latency times the median ratio of runs that alternate between
   * both.
   */
  time(model: Model): Promise<number>;
}

/**
 * Times variants of a detector on the first image of a data set, with all categories as the prompt.
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
  checkLoadedArgument(source);
  checkDatasetArgument(dataset);
  checkValue('`runs`', wholeNumber(1), runs);
  const [image] = dataset.images;
  if (!image) throw new UsageError('The data set has no images; there is nothing to measure.');
  const picture = await readImage(dataset.pathOf(image), { ignoreOrientation: dataset.ignoreOrientation });
  const phrases = categoryPhrases(phraseCategories(dataset));
  return createTimer(source.model, runs, async (model) => {
    const detector = await Detector.create({ ...source, model });
    const prompt = await detector.encodePrompt(phrases);
    const prepared = await detector.prepare(picture);
    return {
      time: () => detector.time(prepared, prompt),
      [Symbol.asyncDispose]: () => detector[Symbol.asyncDispose](),
    };
  });
}

/**
 * Times variants of any model on the same inputs.
 * @param float the float model
 * @param runs the number of runs of each model
 * @throws RuntimeError if a model does not run on the inputs
 * @example
 * await using timer = await createFeedsTimer(model, feeds, 20);
 * const seconds = await timer.time(quantized);
 */
export async function createFeedsTimer(float: Model, feeds: Feeds, runs: number): Promise<VariantTimer> {
  checkModelArgument(float);
  checkValue('`feeds`', objectWith('an object of tensors'), feeds);
  checkValue('`runs`', wholeNumber(1), runs);
  return createTimer(float, runs, async (model) => {
    const session = await Session.create(modelBytes(model), kernelOptions());
    const time = async () => {
      const start = performance.now();
      (await session.run(feeds)).dispose();
      return (performance.now() - start) / 1000;
    };
    return { time, [Symbol.asyncDispose]: () => session.close() };
  });
}

/** A model that is loaded, with inputs to run it on. */
interface TimedModel extends AsyncDisposable {
  /** The seconds that one run takes. */
  readonly time: () => Promise<number>;
}

async function createTimer(
  float: Model,
  runs: number,
  load: (model: Model) => Promise<TimedModel>,
): Promise<VariantTimer> {
  const reference = await load(float);
  const alone: number[] = [];
  for (let run = 0; run < runs; run++) alone.push(await reference.time());
  const referenceSeconds = median(alone);
  return {
    async time(model) {
      await using variant = await load(model);
      await variant.time(); // The first run is slower, so it does not count.
      const ratios: number[] = [];
      for (let run = 0; run < runs; run++) {
        const seconds = await reference.time();
        ratios.push((await variant.time()) / seconds);
      }
      return referenceSeconds * median(ratios);
    },
    [Symbol.asyncDispose]: () => reference[Symbol.asyncDispose](),
  };
}
