/** Deformable attention with factors that are repeated for each point gives the numbers of the function as it was, to the bit. */
import { expect, test } from 'vitest';
import { deformableAttentionFunction } from '../../models/grounding-dino/deformable-attention.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { DEFORMABLE_ATTENTION, DOMAIN } from '../../onnx/dino8-operators.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { floats, integers } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { repeatForEachPoint } from './repeat-for-each-point.ts';

const LEVELS = [
  [5, 4],
  [3, 2],
] as const;
const [BATCH, QUERIES, HEADS, SIZE, POINTS] = [2, 7, 3, 8, 4];

function attention() {
  const b = new GraphBuilder('attention');
  b.define(deformableAttentionFunction(LEVELS.length));
  const levels = LEVELS.length;
  const [output] = b.call(DOMAIN, DEFORMABLE_ATTENTION, [
    b.input('value', DataType.FLOAT, ['batch', 'positions', HEADS, SIZE]),
    1,
    0,
    b.input('spatial_shapes', DataType.INT64, [levels, 2]),
    b.input('reference_points', DataType.FLOAT, ['batch', 'queries', levels, 2]),
    b.input('offset_scale', DataType.FLOAT, ['scale_batch', 'scale_queries', levels, 2]),
    b.input('sampling_offsets', DataType.FLOAT, ['batch', 'queries', HEADS, levels, POINTS, 2]),
    b.input('attention_logits', DataType.FLOAT, ['batch', 'queries', HEADS, levels * POINTS]),
  ]);
  if (output) b.output('output', output);
  return b.finish();
}

const positions = LEVELS.reduce((sum, [height, width]) => sum + height * width, 0);
const random = (seed: number, ...shape: number[]) =>
  floats(
    noise(
      shape.reduce((product, size) => product * size, 1),
      seed,
    ),
    shape,
  );

test.each([
  ['one for all queries', [1, 1]],
  ['one for each query', [BATCH, QUERIES]],
])('scales: %s', async (_, scales) => {
  const model = attention();
  const repeated = copyModel(model);
  expect(repeatForEachPoint(repeated)).toBe(2);
  const levels = LEVELS.length;
  const feeds = {
    value: random(1, BATCH, positions, HEADS, SIZE),
    spatial_shapes: integers(LEVELS.flat(), [levels, 2]),
    reference_points: random(2, BATCH, QUERIES, levels, 2),
    offset_scale: random(3, ...scales, levels, 2),
    sampling_offsets: random(4, BATCH, QUERIES, HEADS, levels, POINTS, 2),
    attention_logits: random(5, BATCH, QUERIES, HEADS, levels * POINTS),
  };
  const run = async (bytes: Uint8Array) => {
    await using session = await Session.create(bytes);
    using outputs = await session.run(feeds);
    return [...outputs.get('output').data];
  };
  const before = await run(modelBytes(model));
  expect(before.some((value) => value !== 0)).toBe(true);
  expect(await run(modelBytes(repeated))).toEqual(before);
});
