/** How far quantization moved the boxes and scores of the queries that found something. */
import { floatData } from '../../runtime/tensor.ts';
import type { PromptChunk, TokenDifference } from '../detection-family.ts';
import type { OutputDifference, OutputFigure } from '../family.ts';
import type { NamedOutputs } from '../named-outputs.ts';

/** Queries to which the float model gives a lower score do not count: they found nothing. */
const MINIMUM_SCORE = 0.25;

/** Mean intersection over union of the boxes, and mean absolute difference of the scores. */
export const outputFigures: readonly OutputFigure[] = [
  { key: 'overlap', title: 'overlap', perfect: 1 },
  { key: 'scoreError', title: 'score error', perfect: 0 },
];

/** The mean loss of overlap plus the mean error of scores: 0 if nothing changed. */
export const outputLoss = ({ overlap = 1, scoreError = 0 }: Readonly<Record<string, number>>): number =>
  1 - overlap + scoreError;

/** Compares query by query; both models must have selected the same queries, which `jointModel` ensures. */
export function compareOutputs(float: NamedOutputs, quantized: NamedOutputs): OutputDifference {
  const [boxes, otherBoxes] = [float, quantized].map((outputs) => floatData(outputs.get('pred_boxes')));
  const [scores, otherScores] = [scoresOf(float), scoresOf(quantized)];
  let [count, overlap, scoreError] = [0, 0, 0];
  for (const [query, score] of scores.entries()) {
    if (score < MINIMUM_SCORE) continue;
    count++;
    overlap += intersectionOverUnion(boxes?.subarray(query * 4) ?? [], otherBoxes?.subarray(query * 4) ?? []);
    scoreError += Math.abs(score - (otherScores[query] ?? 0));
  }
  const figures =
    count > 0 ? { overlap: overlap / count, scoreError: scoreError / count } : { overlap: 1, scoreError: 0 };
  return { count, figures };
}

/** Compares token by token; as above, both models must have selected the same queries. */
export function compareTokens(float: NamedOutputs, quantized: NamedOutputs, chunk: PromptChunk): TokenDifference[] {
  const [, , width = 0] = float.get('logits').shape;
  const [logits, otherLogits] = [floatData(float.get('logits')), floatData(quantized.get('logits'))];
  const found = scoresOf(float).flatMap((score, query) =>
    score < MINIMUM_SCORE ? [] : [{ query, phrase: bestPhrase(logits.subarray(query * width), chunk) }],
  );
  return chunk.phrases.flatMap(({ phrase, begin, end }) =>
    chunk.tokens.slice(begin, end).map((token, index) => {
      const of = (queries: readonly { readonly query: number }[]) => {
        let [sum, highest] = [0, 0];
        for (const { query } of queries) {
          const at = query * width + begin + index;
          const difference = Math.abs((logits[at] ?? 0) - (otherLogits[at] ?? 0));
          sum += difference;
          highest = Math.max(highest, difference);
        }
        return { count: queries.length, sum, highest };
      };
      return { phrase, token, all: of(found), own: of(found.filter((each) => each.phrase === phrase)) };
    }),
  );
}

/** The phrase to which post-processing gives a query: that of the highest mean probability. */
function bestPhrase(logits: Float32Array, { phrases }: PromptChunk): number | undefined {
  let [best, highest]: [number | undefined, number] = [undefined, Number.NEGATIVE_INFINITY];
  for (const { phrase, begin, end } of phrases) {
    const mean =
      logits.subarray(begin, end).reduce((sum, logit) => sum + 1 / (1 + Math.exp(-logit)), 0) / (end - begin);
    if (mean > highest) [best, highest] = [phrase, mean];
  }
  return best;
}

/** The highest probability of each query over the tokens. */
function scoresOf(outputs: NamedOutputs): number[] {
  const logits = outputs.get('logits');
  const [, queries = 0, width = 0] = logits.shape;
  const data = floatData(logits);
  return Array.from({ length: queries }, (_, query) => {
    const highest = data
      .subarray(query * width, (query + 1) * width)
      .reduce((maximum, logit) => Math.max(maximum, logit));
    return 1 / (1 + Math.exp(-highest));
  });
}

/** Intersection over union of two boxes (cx, cy, w, h). */
function intersectionOverUnion(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [ax = 0, ay = 0, aw = 0, ah = 0] = Array.from(a).slice(0, 4);
  const [bx = 0, by = 0, bw = 0, bh = 0] = Array.from(b).slice(0, 4);
  const side = (c: number, s: number, d: number, t: number) =>
    Math.max(Math.min(c + s / 2, d + t / 2) - Math.max(c - s / 2, d - t / 2), 0);
  const shared = side(ax, aw, bx, bw) * side(ay, ah, by, bh);
  const union = aw * ah + bw * bh - shared;
  return union > 0 ? shared / union : 1;
}
