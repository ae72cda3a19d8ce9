/**
 * Multi-scale deformable attention (Zhu et al. 2020, https://arxiv.org/abs/2010.04159): each query samples a few points
 * around its reference on every level. The sampling itself is the model-local function
 * `ai.dino8::MultiScaleDeformableAttention`: its body is standard ONNX, and dino8's library has a kernel for it.
 */
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import { DEFORMABLE_ATTENTION, DOMAIN } from '../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../onnx/types.ts';
import type { Network } from './network.ts';

/**
 * Defines the function for `levels` levels. Its inputs:
 * - value T [batch, positions, heads, size]: the levels one after the other, row by row; T is float, uint8 or int8
 * - value_scale (scalar), value_zero_point T (scalar): a value v stands for (v − value_zero_point) · value_scale
 * - spatial_shapes int64 [levels, 2]: height and width of each
 * - reference_points [batch, queries, levels, 2]: (x, y) in 0..1
 * - offset_scale, broadcast to [batch, queries, levels, 2]: the length of one unit of offset, in 0..1
 * - sampling_offsets [batch, queries, heads, levels, points, 2]
 * - attention_logits [batch, queries, heads, levels · points]
 *
 * Output [batch, queries, heads · size]: Σ softmax(logits) · bilinear(value, reference + offset · scale), where
 * positions outside of a level count as zero and the centre of the first position is at half a position.
 */
export function deformableAttentionFunction(levels: number): FunctionProto {
  const b = new GraphBuilder(DEFORMABLE_ATTENTION);
  const value = b.input('value', DataType.FLOAT, ['batch', 'positions', 'heads', 'size']);
  const valueScale = b.input('value_scale', DataType.FLOAT, []);
  const valueZeroPoint = b.input('value_zero_point', DataType.FLOAT, []);
  const spatialShapes = b.input('spatial_shapes', DataType.INT64, [levels, 2]);
  const referencePoints = b.input('reference_points', DataType.FLOAT, ['batch', 'queries', levels, 2]);
  const offsetScale = b.input('offset_scale', DataType.FLOAT, [undefined, undefined, levels, 2]);
  const samplingOffsets = b.input('sampling_offsets', DataType.FLOAT, [
    'batch',
    'queries',
    'heads',
    levels,
    'points',
    2,
  ]);
  const attentionLogits = b.input('attention_logits', DataType.FLOAT, ['batch', 'queries', 'heads', undefined]);

  const ones = b.integers(...Array.from({ length: levels }, () => 1));
  const queries = b.dimension(samplingOffsets, 1);
  const size = b.dimension(value, 3);
  const batchHeads = b.mul(b.dimension(value, 0), b.dimension(value, 2));

  const locations = b.add(
    b.unsqueeze(referencePoints, [2, 4]),
    b.mul(samplingOffsets, b.unsqueeze(offsetScale, [2, 4])),
  );
  // GridSample counts from −1 to 1.
  const grids = b.split(b.transpose(b.sub(b.mul(locations, 2), 1), [0, 2, 3, 1, 4, 5]), ones, levels, 2);
  const weights = b.reshape(b.softmax(attentionLogits), [b.shapeOf(samplingOffsets, 0, 5)]);
  const weightsOfLevel = b.split(b.transpose(weights, [0, 2, 3, 1, 4]), ones, levels, 2);
  const values = b.split(value, b.reduceProd(spatialShapes, [1], false), levels, 1);
  const sizes = b.split(spatialShapes, ones, levels, 0);

  const zeroPoint = b.cast(valueZeroPoint, DataType.FLOAT);
  const sums = values.map((positions, level) => {
    const at = (list: readonly Value[]) => list[level] as Value; // every split above has `levels` parts
    const map = b.reshape(b.transpose(positions, [0, 2, 3, 1]), [batchHeads, size, b.squeeze(at(sizes), [0])]);
    const centred = b.sub(b.cast(map, DataType.FLOAT), zeroPoint); // outside counts as zero, not as the lowest value
    const grid = b.reshape(at(grids), [batchHeads, queries, -1, 2]);
    const sampled = b.gridSample(centred, grid); // [batch · heads, size, queries, points]
    const weight = b.reshape(at(weightsOfLevel), [batchHeads, 1, queries, -1]);
    return b.reduceSum(b.mul(sampled, weight), [3], false);
  });
  const total = b.mul(
    sums.reduce((sum, next) => b.add(sum, next)),
    valueScale,
  );
  // The number of channels is written out, so that it is known without a run.
  const joined = b.reshape(total, [b.dimension(value, 0), b.mul(b.dimension(value, 2), size), -1]);
  b.output('output', b.transpose(joined, [0, 2, 1]));
  return b.finishFunction(DOMAIN);
}

/** The reference points of a deformable attention, and the length of one unit of its offsets. */
export interface References {
  /** (x, y) in 0..1, [batch, queries, levels, 2]. */
  readonly points: Value;
  /** The length of one unit of offset in 0..1, broadcast to [batch, queries, levels, 2]. */
  readonly offsetScale: Value;
}

/** The flattened feature levels that deformable attention reads. */
export interface Memory {
  /** [batch, positions, d_model] */
  readonly features: Value;
  /** 1 where a position is valid, [batch, positions, 1]. */
  readonly mask: Value;
  /** Height and width of each level, [levels, 2]. */
  readonly spatialShapes: Value;
}

/**
 * A deformable attention layer with the projections of the current scope.
 *
 * @param queries [batch, queries, width]
 * @returns [batch, queries, width]
 */
export function deformableAttention(
  network: Network,
  queries: Value,
  memory: Memory,
  references: References,
  { width, heads, levels, points }: { width: number; heads: number; levels: number; points: number },
): Value {
  const { b } = network;
  const samples = heads * levels * points;
  const value = b.mul(network.linear('value_proj', memory.features, width, width), memory.mask);
  const offsets = network.linear('sampling_offsets', queries, width, samples * 2);
  const logits = network.linear('attention_weights', queries, width, samples);
  const [sampled] = b.call(DOMAIN, DEFORMABLE_ATTENTION, [
    b.reshape(value, [0, 0, heads, -1]),
    1,
    0,
    memory.spatialShapes,
    references.points,
    references.offsetScale,
    b.reshape(offsets, [0, 0, heads, levels, points, 2]),
    b.reshape(logits, [0, 0, heads, levels * points]),
  ]);
  if (!sampled) throw new Error('the function has one output');
  return network.linear('output_proj', sampled, width, width);
}
