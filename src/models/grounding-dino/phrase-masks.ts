/**
 * Computes inside the graph which tokens form a phrase. Only the combined model needs this, because its callers give token
 * ids alone; for the halves, token-masks.ts computes the same in TypeScript before the run.
 */
import type { Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import type { Network } from './network.ts';

/** Token ids of BERT's vocabulary that end a phrase: [CLS], [SEP], "." and "?". */
export const DELIMITERS = [101, 102, 1012, 1029] as const;

/**
 * Computes positions and masks from token ids.
 *
 * @param tokens [batch, n], int64
 * @returns positions within the phrase [batch, n], int64, and the mask of self-attention [batch, n, n], boolean
 */
export function phraseMasks(network: Network, tokens: Value): { positions: Value; selfAttentionMask: Value } {
  const { b } = network;
  const isDelimiter = DELIMITERS.map((id) => b.equal(tokens, b.integer(id))).reduce((any, next) => b.or(any, next));
  const count = b.squeeze(b.dimension(tokens, 1), [0]);
  const index = b.range(b.integer(0), count, b.integer(1)); // [n]
  const row = b.unsqueeze(index, [1]);
  const isBefore = b.lessOrEqual(index, row); // [to, from]: from ≤ to
  const delimiters = b.unsqueeze(isDelimiter, [1]); // [batch, 1, from]

  // The last delimiter at or before a token, −1 if there is none; the first at or after it, n if there is none.
  const last = b.reduceMax(b.where(b.and(delimiters, isBefore), index, b.integer(-1)), [2], false);
  const isAfter = b.greaterOrEqual(index, row);
  const next = b.reduceMin(b.where(b.and(delimiters, isAfter), index, count), [2], false);

  // A phrase counts if something closes it: not the first token, not the last, not the end of the text.
  const closed = b.and(b.greater(next, b.integer(0)), b.less(next, b.sub(count, b.integer(1))));
  const samePhrase = b.equal(b.unsqueeze(next, [2]), b.unsqueeze(next, [1]));
  const self = b.equal(index, row);
  const mask = b.or(self, b.and(samePhrase, b.unsqueeze(closed, [2])));
  const selfAttentionMask = b.named('text_self_attention_mask', mask);
  const place = b.max(b.sub(b.sub(index, last), b.integer(1)), b.integer(0));
  return { positions: b.named('position_ids', b.mul(place, b.cast(closed, DataType.INT64))), selfAttentionMask };
}
