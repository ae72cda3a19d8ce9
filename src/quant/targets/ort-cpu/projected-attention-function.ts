/**
 * `ai.dino8::ProjectedDeformableAttention`: deformable attention whose sampling offsets and attention logits are linear layers of
 * the queries in integers. dino8's library has a kernel that computes those of some queries just before it reads them, so that
 * they stay in the processor's caches; the body is the same in separate operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DEFORMABLE_ATTENTION, DOMAIN, PROJECTED_DEFORMABLE_ATTENTION } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { linearLayer } from './integer-layer.ts';

/** The place of the queries among the inputs. */
export const QUERIES = 6;

/**
 * Defines the function. Its inputs:
 * - value, value_scale, value_zero_point, spatial_shapes, reference_points and offset_scale, as in deformable-attention.ts
 * - queries uint8 [batch, queries, depth], queries_scale, queries_zero_point
 * - for the offsets, of heads · levels · points · 2 columns, and then for the logits, of heads · levels · points columns: the
 *   weight, int8 in panels (packed-weight.ts); the scale of the weight, float [] or [columns]; the bias, float [columns]
 *
 * Output y float [batch, queries, heads · size].
 */
export function projectedAttentionFunction(): FunctionProto {
  const b = new GraphBuilder(PROJECTED_DEFORMABLE_ATTENTION);
  const value = b.input('value', DataType.FLOAT, ['batch', 'positions', 'heads', 'size']);
  const valueRange = [b.input('value_scale', DataType.FLOAT, []), b.input('value_zero_point', DataType.FLOAT, [])];
  const spatialShapes = b.input('spatial_shapes', DataType.INT64, ['levels', 2]);
  const points = ['reference_points', 'offset_scale'].map((name) =>
    b.input(name, DataType.FLOAT, ['batch', 'queries', 'levels', 2]),
  );
  const queries = b.input('queries', DataType.UINT8, ['batch', 'queries', 'depth']);
  const range = [
    b.input('queries_scale', DataType.FLOAT, []),
    b.input('queries_zero_point', DataType.UINT8, []),
  ] as const;
  const layer = (name: string) => {
    const weight = b.input(`${name}_weight`, DataType.INT8, [undefined, undefined, undefined, undefined]);
    const scale = b.input(`${name}_scale`, DataType.FLOAT, []);
    const bias = b.input(`${name}_bias`, DataType.FLOAT, [undefined]);
    return linearLayer(b, queries, { range, weight, scale, bias });
  };
  const [offsets, logits] = [layer('offsets'), layer('logits')];
  const heads = b.dimension(value, 2);
  const shape = (...rest: readonly Value[]) => b.concat([b.integers(0, 0), heads, ...rest], 0);
  const [sampled] = b.call(DOMAIN, DEFORMABLE_ATTENTION, [
    value,
    ...valueRange,
    spatialShapes,
    ...points,
    b.reshape(offsets, [shape(b.dimension(spatialShapes, 0), b.integers(-1, 2))]),
    b.reshape(logits, [shape(b.integers(-1))]),
  ]);
  b.output('y', sampled as Value);
  return b.finishFunction(DOMAIN);
}
