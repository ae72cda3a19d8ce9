/** The images and prompts of a calibration plan as inputs of the whole model. */
import {
  callback,
  checkOptions,
  checkValue,
  listOf,
  type OptionSchemas,
  objectWith,
  optional,
  truth,
} from '../base/check-options.ts';
import { InputError, isOutOfMemory, messageOf } from '../base/errors.ts';
import type { CalibrationItem, CalibrationPlan } from '../data/calibration-plan.ts';
import { readImage } from '../data/image.ts';
import { Preprocessor } from '../data/preprocess.ts';
import { detectionOf } from '../models/family.ts';
import { refuseFixedPrompt } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import type { Sample, SampleSource } from '../quant/observe/sample.ts';

/**
 * An image cannot be read. Callers that offer to leave such images out catch this.
 * @example
 * try {
 *   await calibrate({ model: 'tiny.onnx', dataset: 'coco/val2017', output: 'statistics.json' });
 * } catch (error) {
 *   if (error instanceof UnreadableImage) console.error('Set skipUnreadable to leave such images out.');
 * }
 */
export class UnreadableImage extends InputError {}

/** Options of `calibrationSamples`. */
export interface FeedOptions {
  /** Called with each image that cannot be read, which is then left out. Without it such an image is an error. */
  readonly onUnreadable?: ((path: string, reason: string) => void) | undefined;
  /** Takes images as they are stored, without the rotation that their EXIF orientation asks for. */
  readonly ignoreOrientation?: boolean | undefined;
}

const packageSchema = objectWith('what `readPackage` returned', 'model', 'family', 'preprocessing', 'tokenizer');
const planSchema = objectWith('what `planCalibration` or `everyImage` returned', 'items', 'key');
const itemsSchema = listOf(
  'a list of images with their prompts',
  objectWith('an image with its prompt', 'place', 'path', 'phrases'),
);
const feedSchemas: OptionSchemas<FeedOptions> = {
  onUnreadable: optional(callback),
  ignoreOrientation: optional(truth),
};

/**
 * Inputs for each image with its prompt, one at a time and without padding. Of a prompt with several chunks the first is
 * taken.
 * @throws UnreadableImage if an image cannot be read and `onUnreadable` is not given
 * @example
 * for await (const { place, feeds } of calibrationFeeds(source, everyImage(dataset).items))
 *   console.log(place, Object.keys(feeds));
 */
export async function* calibrationFeeds(
  detector: ModelPackage,
  items: readonly CalibrationItem[],
  options: FeedOptions = {},
): AsyncGenerator<Sample> {
  checkValue('The model', packageSchema, detector);
  checkValue('The items', itemsSchema, items);
  checkOptions('calibrationFeeds', feedSchemas, options);
  const { model, family, preprocessing, tokenizer, source } = detector;
  const { onUnreadable, ignoreOrientation } = options;
  const detection = detectionOf({ source, family });
  refuseFixedPrompt(model, source);
  const words = createTokenizer(tokenizer, source);
  await using preprocessor = await Preprocessor.create(preprocessing);
  for (const { place, path, phrases } of items) {
    const image = await readImage(path, { ignoreOrientation }).catch((error: unknown) => {
      if (!(error instanceof Error) || isOutOfMemory(error)) throw error;
      if (!onUnreadable) throw new UnreadableImage(messageOf(error), { cause: error });
      onUnreadable(path, messageOf(error));
    });
    if (!image) continue;
    const exact = phrases.map((phrase) => ({ exact: phrase, called: 'category' }));
    const [chunk] = detection.createPrompt(exact, words).chunks;
    const tokens = chunk?.tokens ?? [];
    const prepared = await preprocessor.prepare([image]);
    yield { place, tokens: tokens.length, feeds: detection.combinedFeeds(prepared, tokens), source: path };
  }
}

/**
 * The images and prompts of a calibration plan as samples.
 * @throws UsageError if the model is no detector
 * @example
 * const samples = calibrationSamples(source, planCalibration(dataset, 64, 0));
 */
export function calibrationSamples(
  source: ModelPackage,
  plan: CalibrationPlan,
  options: FeedOptions = {},
): SampleSource {
  checkValue('The model', packageSchema, source);
  checkValue('The plan', planSchema, plan);
  checkOptions('calibrationSamples', feedSchemas, options);
  const { items, key, ignoreOrientation } = plan;
  return {
    total: items.length,
    key,
    samples: (accept = () => true) =>
      calibrationFeeds(
        source,
        items.filter(({ place }) => accept(place)),
        { ...options, ignoreOrientation },
      ),
  };
}
