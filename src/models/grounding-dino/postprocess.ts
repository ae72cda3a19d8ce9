/** Post-processing: from the logits and boxes of one image to scored boxes in pixels, each with its phrase. */

import { checkFields } from '../../base/check-options.ts';
import type { Box } from '../../data/labelled-box.ts';
import type { Size } from '../../data/size.ts';
import type { PromptChunk, ScoredBox } from '../detection-family.ts';

/** The model's outputs for one image and one chunk of the prompt. */
export interface RawDetections {
  /** [queries, maximum tokens], −inf for padding. */
  readonly logits: Float32Array;
  /** (cx, cy, w, h) in 0..1, [queries, 4]. */
  readonly boxes: Float32Array;
  /** The number of queries. */
  readonly queries: number;
}

/** How well each query fits each phrase, [queries, phrases of the chunk], row by row. */
interface PhraseScores {
  /** The mean probability of the phrase's tokens. It decides the phrase of a box, and its rank in the evaluation on COCO. */
  readonly mean: Float32Array;
  /** The highest probability of the phrase's tokens, which is the score of the published post-processing. */
  readonly highest: Float32Array;
}

function scorePhrases({ logits, queries }: RawDetections, chunk: PromptChunk): PhraseScores {
  const tokens = logits.length / queries;
  const count = chunk.phrases.length;
  const mean = new Float32Array(queries * count);
  const highest = new Float32Array(queries * count);
  for (let query = 0; query < queries; query++)
    for (const [index, { begin, end }] of chunk.phrases.entries()) {
      let sum = 0;
      let top = 0;
      for (let token = begin; token < end; token++) {
        const probability = 1 / (1 + Math.exp(-(logits[query * tokens + token] ?? 0)));
        sum += probability;
        top = Math.max(top, probability);
      }
      mean[query * count + index] = sum / (end - begin);
      highest[query * count + index] = top;
    }
  return { mean, highest };
}

/**
 * The boxes for a user. Each query appears once at most, with the phrase that it fits best by the mean over the phrase's
 * tokens; its score is the highest probability among these tokens, and at least `threshold`.
 *
 * @param size of the original image, in pixels
 * @returns boxes in descending order of their scores
 */
export function groundedBoxes(raw: RawDetections, chunk: PromptChunk, size: Size, threshold: number): ScoredBox[] {
  const { mean, highest } = scorePhrases(raw, chunk);
  const count = chunk.phrases.length;
  const found: ScoredBox[] = [];
  for (let query = 0; query < raw.queries; query++) {
    let best = query * count;
    for (let index = best + 1; index < (query + 1) * count; index++)
      if ((mean[index] ?? 0) > (mean[best] ?? 0)) best = index;
    const score = highest[best] ?? 0;
    const span = chunk.phrases[best - query * count];
    if (span && score >= threshold) found.push({ phrase: span.phrase, score, box: pixelBox(raw.boxes, query, size) });
  }
  return found.sort((a, b) => b.score - a.score);
}

/**
 * The `limit` best pairs of query and phrase, scored by the mean over the phrase's tokens, as the evaluation of GroundingDINO
 * on COCO ranks them.
 *
 * @param size of the original image, in pixels
 * @returns boxes in descending order of their scores
 * @example
 * const boxes = rankedBoxes(raw, chunk, { height: 480, width: 640 }, 300);
 */
export function rankedBoxes(raw: RawDetections, chunk: PromptChunk, size: Size, limit: number): ScoredBox[] {
  checkFields('The outputs must be those of the detection half', raw, 'logits', 'boxes');
  const { mean } = scorePhrases(raw, chunk);
  const count = chunk.phrases.length;
  const order = Array.from(mean.keys()).sort((a, b) => (mean[b] ?? 0) - (mean[a] ?? 0) || a - b);
  return order.slice(0, limit).flatMap((index) => {
    const span = chunk.phrases[index % count];
    return span
      ? [{ phrase: span.phrase, score: mean[index] ?? 0, box: pixelBox(raw.boxes, Math.floor(index / count), size) }]
      : [];
  });
}

function pixelBox(boxes: Float32Array, query: number, { width, height }: Size): Box {
  const [cx = 0, cy = 0, w = 0, h = 0] = boxes.subarray(query * 4, query * 4 + 4);
  return [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height];
}
