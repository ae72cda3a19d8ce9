/**
 * Ranges by the smallest Kullback-Leibler divergence between the observed distribution and its 8-bit form (Migacz 2017,
 * "8-bit inference with TensorRT"), as two libraries define it.
 */
import type { Range } from '../scheme.ts';
import type { BinnedValues } from './histogram.ts';

/**
 * pytorch-quantization's form, on a histogram of |x|. For every candidate length i from `levels` on: P is the first i bins
 * with the outliers in its last one, Q the same bins without them, merged into `levels` levels of which each spreads its
 * mass evenly over its bins that are not empty. The last minimum wins.
 * @param levels 2^(bits − 1): 128 for 8 bits
 * @returns the largest magnitude to represent
 */
export function entropyMaximum({ counts, edges }: BinnedValues, levels = 128): number {
  const bins = Float64Array.from(counts);
  // Zeros are exact in every scheme, and often so many that they would outweigh all other values.
  if (bins.length > 1) bins[0] = bins[1] ?? 0;
  const suffix = suffixSums(bins);
  let best = Number.POSITIVE_INFINITY;
  let chosen = bins.length;
  for (let length = levels; length <= bins.length; length++) {
    const divergence = magnitudeDivergence(bins, length, levels, suffix[length] ?? 0);
    if (divergence > best) continue;
    best = divergence;
    chosen = length;
  }
  return edges[chosen] ?? 0;
}

/** For each bin, the sum of all bins from it on. */
function suffixSums(bins: Float64Array): Float64Array {
  const sums = new Float64Array(bins.length + 1);
  for (let bin = bins.length - 1; bin >= 0; bin--) sums[bin] = (sums[bin + 1] ?? 0) + (bins[bin] ?? 0);
  return sums;
}

function magnitudeDivergence(bins: Float64Array, length: number, levels: number, outliers: number): number {
  const level = (bin: number) => Math.min(Math.floor((bin * levels) / length), levels - 1);
  const mass = new Float64Array(levels);
  const filled = new Float64Array(levels);
  let total = 0;
  for (let bin = 0; bin < length; bin++) {
    const count = bins[bin] ?? 0;
    const into = level(bin);
    mass[into] = (mass[into] ?? 0) + count;
    if (count > 0) filled[into] = (filled[into] ?? 0) + 1;
    total += count;
  }
  if (total === 0) return Number.POSITIVE_INFINITY;
  let divergence = 0;
  for (let bin = 0; bin < length; bin++) {
    const count = bins[bin] ?? 0;
    const p = (count + (bin === length - 1 ? outliers : 0)) / (total + outliers);
    if (p === 0) continue;
    if (count === 0) return Number.POSITIVE_INFINITY; // P is positive where Q is 0
    const q = (mass[level(bin)] ?? 0) / (filled[level(bin)] ?? 1) / total;
    divergence += p * Math.log(p / q);
  }
  return divergence;
}

/**
 * onnxruntime.quantization's form, on a histogram of x whose middle bin holds 0: the candidates are windows that grow on
 * both sides, and their mass is smoothed. The first minimum wins.
 *
 * @param levels the number of quantized bins
 */
export function entropyRange({ counts, edges }: BinnedValues, levels = 128): Range {
  const bins = Float64Array.from(counts);
  const middle = Math.floor(bins.length / 2);
  const suffix = suffixSums(bins);
  const all = suffix[0] ?? 0;
  let best = Number.POSITIVE_INFINITY;
  let chosen: Range = { min: edges[0] ?? 0, max: edges[bins.length] ?? 0 };
  for (let reach = Math.floor(levels / 2); reach <= middle; reach++) {
    const [start, end] = [middle - reach, Math.min(middle + reach + 1, bins.length)];
    const outliers: [number, number] = [all - (suffix[start] ?? 0), suffix[end] ?? 0];
    const divergence = windowDivergence(bins.subarray(start, end), levels, outliers);
    if (!(divergence < best)) continue;
    best = divergence;
    chosen = { min: edges[start] ?? 0, max: edges[end] ?? 0 };
  }
  return chosen;
}

function windowDivergence(window: Float64Array, levels: number, [left, right]: readonly [number, number]): number {
  const p = window.slice();
  p[0] = (p[0] ?? 0) + left;
  p[p.length - 1] = (p[p.length - 1] ?? 0) + right;
  const each = Math.floor(window.length / levels);
  const q = new Float64Array(window.length);
  for (let level = 0; level < levels; level++) {
    const [start, end] = [level * each, (level + 1) * each];
    const rest = level === levels - 1 ? window.length : end;
    const mass = window.subarray(start, rest).reduce((sum, count) => sum + count, 0);
    const filled = p.subarray(start, end).reduce((number, count) => number + (count !== 0 ? 1 : 0), 0);
    // That library computes with whole numbers, so the fraction is cut off.
    if (filled > 0) q.fill(Math.trunc(mass / filled), start, end);
  }
  return smooth(p) && smooth(q) ? divergenceOf(p, q) : Number.POSITIVE_INFINITY;
}

/** Moves a little mass from bins that have some to those that have none. @returns false if that is not possible */
function smooth(p: Float64Array, little = 1e-4): boolean {
  const empty = p.reduce((number, count) => number + (count === 0 ? 1 : 0), 0);
  const filled = p.length - empty;
  if (filled === 0) return false;
  const taken = (little * empty) / filled;
  if (taken >= 1) return false;
  for (const [bin, count] of p.entries()) p[bin] = count === 0 ? little : count - taken;
  return true;
}

function divergenceOf(p: Float64Array, q: Float64Array): number {
  const [ofP, ofQ] = [p, q].map((values) => values.reduce((sum, value) => sum + value, 0)) as [number, number]; // of two
  return p.reduce((sum, value, bin) => sum + (value / ofP) * Math.log(value / ofP / ((q[bin] ?? 0) / ofQ)), 0);
}
