/** The selection of boxes is compared with ONNX Runtime's operator NonMaxSuppression. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import type { ScoredBox } from '../models/detection-family.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { Session } from '../runtime/session.ts';
import { floats } from '../runtime/tensor.ts';
import { checkSelection, selectBoxes } from './select-boxes.ts';

const CLASSES = 3;

/** A model of the operator alone: boxes [1, n, 4] as (y1, x1, y2, x2) and scores [1, classes, n] to indices (batch, class, box). */
function suppression(limit: number) {
  const b = new GraphBuilder('suppression');
  const boxes = b.input('boxes', DataType.FLOAT, [1, 'n', 4]);
  const scores = b.input('scores', DataType.FLOAT, [1, CLASSES, 'n']);
  const all = b.integers(10_000);
  const [kept] = b.call('', 'NonMaxSuppression', [boxes, scores, all, b.scalar(limit), b.scalar(0)]);
  if (!kept) throw new Error('the operator has a result');
  b.output('kept', b.cast(kept, DataType.INT64), ['m', 3]);
  return b.finish();
}

test('boxes of a phrase that overlap a better one are left out as by NonMaxSuppression', async () => {
  const limit = 0.4;
  await using session = await Session.create(suppression(limit));
  const side = fc.integer({ min: 1, max: 40 });
  const box = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }), side, side);
  const scored = fc.record({ phrase: fc.integer({ min: 0, max: CLASSES - 1 }), box });
  await fc.assert(
    fc.asyncProperty(fc.array(scored, { minLength: 1, maxLength: 40 }), async (drawn) => {
      const boxes: ScoredBox[] = drawn.map((each, index) => ({ ...each, score: 1 - index / 100 }));
      const scores = new Float32Array(CLASSES * boxes.length);
      for (const [index, { phrase, score }] of boxes.entries()) scores[phrase * boxes.length + index] = score;
      const corners = boxes.flatMap(({ box: [x, y, w, h] }) => [y, x, y + h, x + w]);
      using outputs = await session.run({
        boxes: floats(Float32Array.from(corners), [1, boxes.length, 4]),
        scores: floats(scores, [1, CLASSES, boxes.length]),
      });
      const indices = [...(outputs.get('kept').data as BigInt64Array)].map(Number);
      const expected = boxes.filter((_, index) => indices.some((value, at) => at % 3 === 2 && value === index));
      expect(selectBoxes(boxes, { maxOverlap: limit })).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});

test('the best boxes are kept, after those that overlap are left out', () => {
  const boxes: ScoredBox[] = [0.9, 0.8, 0.7].map((score, index) => ({
    phrase: 0,
    score,
    box: [index === 2 ? 100 : 0, 0, 10, 10],
  }));
  expect(selectBoxes(boxes, { maxBoxes: 2 })).toEqual(boxes.slice(0, 2));
  expect(selectBoxes(boxes, { maxBoxes: 2, maxOverlap: 0.5 })).toEqual([boxes[0], boxes[2]]);
  expect(selectBoxes(boxes, {})).toEqual(boxes);
});

test.each([{ threshold: 1.1 }, { textThreshold: -1 }, { maxOverlap: Number.NaN }, { maxBoxes: 0 }, { maxBoxes: 1.5 }])(
  '%j is refused by name',
  (selection) => {
    expect(() => checkSelection(selection)).toThrow(UsageError);
    expect(() => checkSelection(selection)).toThrow(Object.keys(selection)[0] ?? '');
  },
);
