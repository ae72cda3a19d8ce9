/** Inputs of the combined model that mean nothing: for measurements that depend on sizes alone. */
import { UsageError } from '../base/errors.ts';
import { longestText } from '../model/config.ts';
import type { ModelPackage } from '../model/package.ts';
import type { Feeds } from '../runtime/session.ts';
import { floats, integers } from '../runtime/tensor.ts';

const [START, END, PERIOD] = [101, 102, 1012]; // [CLS], [SEP] and "." of BERT's vocabulary

/** A black landscape image of the size the model's preprocessing makes, and a prompt of `tokens` tokens. */
export function blankFeeds({ config, preprocessing }: ModelPackage, tokens: number): Feeds {
  const most = longestText(config);
  if (tokens < 3 || tokens > most)
    throw new UsageError(`A prompt of ${tokens} tokens is not possible; give --tokens from 3 to ${most}.`);
  const { shortest_edge: height, longest_edge: width } = preprocessing.size;
  const ids = [START, ...Array.from({ length: tokens - 2 }, () => PERIOD), END];
  const ones = (count: number) => Array.from({ length: count }, () => 1);
  return {
    pixel_values: floats(new Float32Array(3 * height * width), [1, 3, height, width]),
    pixel_mask: integers(ones(height * width), [1, height, width]),
    input_ids: integers(ids, [1, tokens]),
    attention_mask: integers(ones(tokens), [1, tokens]),
  };
}
