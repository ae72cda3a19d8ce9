/** Inputs of the combined model that mean nothing: for measurements that depend on sizes alone. */
import { UsageError } from '../../base/errors.ts';
import type { Feeds } from '../../runtime/session.ts';
import { booleans, floats } from '../../runtime/tensor.ts';
import type { ModelPackage } from '../package/package.ts';
import { combinedFeeds } from './combined-feeds.ts';
import { longestText } from './config.ts';

const [START, END, PERIOD] = [101, 102, 1012]; // [CLS], [SEP] and "." of BERT's vocabulary

/** A prompt of `tokens` tokens that means nothing. @throws UsageError if the model has none of that length */
export function blankPrompt({ config }: ModelPackage, tokens: number): number[] {
  const most = longestText(config);
  if (tokens < 3 || tokens > most)
    throw new UsageError(`A prompt of ${tokens} tokens is not possible; give --tokens from 3 to ${most}.`);
  return [START, ...Array.from({ length: tokens - 2 }, () => PERIOD), END];
}

/** A black landscape image of the size the model's preprocessing makes, and a prompt of `tokens` tokens. */
export function blankFeeds(source: ModelPackage, tokens: number): Feeds {
  const { shortest_edge: height, longest_edge: width } = source.preprocessing.size;
  const pixelValues = floats(new Float32Array(3 * height * width), [1, 3, height, width]);
  const validPixels = booleans(new Uint8Array(height * width).fill(1), [1, height, width]);
  return combinedFeeds({ pixelValues, validPixels }, blankPrompt(source, tokens));
}
