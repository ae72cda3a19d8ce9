/**
 * Computes which tokens of a prompt form a phrase. A phrase ends with the special token that closes it; its tokens attend to
 * each other only, and their positions count from 0. Tokens that no special token closes attend to themselves only.
 */
import { DELIMITERS } from './phrase-masks.ts';

/** Positions and the mask of self-attention of a prompt. */
export interface TokenMasks {
  /** The position of each token within its phrase. */
  readonly positionIds: number[];
  /** [tokens, tokens] row by row: 1 where the token of the row may attend to the token of the column. */
  readonly selfAttentionMask: Uint8Array;
}

/** Computes positions and the mask of self-attention of a prompt. */
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
