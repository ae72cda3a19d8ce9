/** Inputs of the combined model without meaning, for measurements that depend on sizes alone. */
import { UsageError } from '../../base/errors.ts';
import type { PreparedImages } from '../../data/prepare-images.ts';
import { type Preprocessing, typicalSize } from '../../data/preprocessing.ts';
import type { Feeds } from '../../runtime/session.ts';
import { booleans, floats } from '../../runtime/tensor.ts';
import { padForQueries } from './canvas.ts';
import { combinedFeeds } from './combined-feeds.ts';
import { type Config, longestText } from './config.ts';
import { CHOICE, imageFeeds, promptChoice } from './half-feeds.ts';

/** The prompt of measurements for which no length is stated. */
const BLANK_TOKENS = 16;

const [START, END, PERIOD] = [101, 102, 1012]; // [CLS], [SEP] and "." of BERT's vocabulary

/** A prompt of `tokens` tokens without meaning. @throws UsageError if no prompt has that length */
export function blankPrompt(config: Config, tokens: number): number[] {
  const maximum = longestText(config);
  if (tokens < 3 || tokens > maximum)
    throw new UsageError(
      `A prompt of ${tokens} tokens is not possible; the number of tokens must be from 3 to ${maximum}.`,
    );
  return [START, ...Array.from({ length: tokens - 2 }, () => PERIOD), END];
}

/** A black landscape image of the size that the model's preprocessing makes, and a prompt of `tokens` tokens. */
export function blankFeeds(config: Config, preprocessing: Preprocessing, tokens = BLANK_TOKENS): Feeds {
  return combinedFeeds(blackImage(config, preprocessing), blankPrompt(config, tokens));
}

/** The same image for a model of fixed phrases, with the first prompt if it has several: all of them have the same length there. */
export function blankImage(config: Config, preprocessing: Preprocessing, inputs: ReadonlySet<string>): Feeds {
  const images = imageFeeds(blackImage(config, preprocessing), (name) => inputs.has(name));
  return inputs.has(CHOICE) ? { ...images, ...promptChoice(0) } : images;
}

function blackImage(config: Config, preprocessing: Preprocessing): PreparedImages {
  const { height, width } = typicalSize(preprocessing);
  const pixelValues = floats(new Float32Array(3 * height * width), [1, 3, height, width]);
  const validPixels = booleans(new Uint8Array(height * width).fill(1), [1, height, width]);
  return padForQueries(config, { pixelValues, validPixels });
}
