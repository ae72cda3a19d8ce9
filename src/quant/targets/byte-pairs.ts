/** The placement of targets that store activations as uint8 in pairs, and weights of float nodes as integers. */
import { UINT8 } from '../scheme.ts';
import { placePairs } from './pairs.ts';
import type { QuantizationTarget } from './target.ts';
import { storeAsIntegers } from './weight-only.ts';

/** @param sharesDequantized true if all users of a value share one DequantizeLinear; false if each has its own */
export const placeBytePairs =
  (sharesDequantized: boolean): QuantizationTarget['place'] =>
  (entry, node, context) =>
    entry.mode === 'weight-only'
      ? storeAsIntegers(entry, node, context.added)
      : placePairs(entry, node, context, { activations: UINT8, sharesDequantized });
