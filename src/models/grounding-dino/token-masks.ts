/**
 * Which tokens of a prompt form a phrase: each phrase runs up to and including the special token that closes it, sees
 * only itself, and counts its positions from 0. Tokens that nothing closes see only themselves.
 */
import { DELIMITERS } from './phrase-masks.ts';

export interface TokenMasks {
  /** Position within the phrase, one per token. */
  readonly positionIds: number[];
  /** Row by row: 1 where the token of the row may see that of the column. */
  readonly selfAttentionMask: Uint8Array;
}

export function tokenMasks(tokens: readonly number[]): TokenMasks {
  const count = tokens.length;
  const positionIds = new Array<number>(count).fill(0);
  const selfAttentionMask = new Uint8Array(count * count);
  for (let index = 0; index < count; index++) selfAttentionMask[index * count + index] = 1;
  let start = 0;
  for (const [end, token] of tokens.entries()) {
    if (!DELIMITERS.some((delimiter) => delimiter === token)) continue;
    const isClosed = end > 0 && end < count - 1;
    if (isClosed)
      for (let row = start; row <= end; row++) {
        positionIds[row] = row === end ? 0 : row - start;
        selfAttentionMask.fill(1, row * count + start, row * count + end + 1);
      }
    start = end + 1;
  }
  return { positionIds, selfAttentionMask };
}
