/**
 * `ai.dino8::GroupNormLevels`: the group normalizations (Wu and He 2018, https://arxiv.org/abs/1803.08494) of the maps of four
 * levels, joined as rows of channels. ONNX Runtime takes groups for channels of InstanceNormalization, which wants the numbers of
 * a channel one after the other; dino8's library has a kernel that adds and normalizes rows as linear layers write them, as bytes.
 * The body computes the same in separate operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, GROUP_NORM_LEVELS } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';

/** The number of levels of the operator. */
export const NORMED_LEVELS = 4;

/**
 * True for the name of a node in the body of the function that ONNX Runtime has inlined. It names the DequantizeLinear of the
 * bytes after the reshapes and transpositions that it moves it behind.
 */
export const isOfGroupNorm = (name: string): boolean => name.startsWith(`_inlfunc_${GROUP_NORM_LEVELS}_`);

/**
 * Defines the function. Its inputs:
 * - for each level: bytes uint8 [batch, height, width, channels], their scale float [] and zero point uint8 [], and the factors
 *   and the offsets of the channels, float [channels] or of another shape with as many numbers
 * - groups int64 [1]: the number of groups, whose channels lie side by side
 *
 * Output y float [batch, positions, channels]: for each level (x − mean) / √(variance + epsilon) · factor + offset over each group
 * of an image, where x are the numbers that the bytes stand for. `epsilon` is an attribute.
 */
export function groupNormFunction(): FunctionProto {
  const b = new GraphBuilder(GROUP_NORM_LEVELS);
  const levels = Array.from({ length: NORMED_LEVELS }, (_, level) => {
    const input = (name: string, type: DataType, shape: undefined[]) => b.input(`${name}_${level}`, type, shape);
    return {
      bytes: input('bytes', DataType.UINT8, [undefined, undefined, undefined, undefined]),
      range: [input('scale', DataType.FLOAT, []), input('zero_point', DataType.UINT8, [])] as const,
      factors: input('factors', DataType.FLOAT, []),
      offsets: input('offsets', DataType.FLOAT, []),
    };
  });
  const groups = b.input('groups', DataType.INT64, [1]);
  const [ones, zeros] = [1, 0].map((value) => b.expand(b.scalar(value), [groups])) as [Value, Value]; // two numbers
  const normed = levels.map(({ bytes, range, factors, offsets }) => {
    const x = b.call('', 'DequantizeLinear', [bytes, ...range])[0] as Value; // operators with one result
    const map = b.transpose(x, [0, 3, 1, 2]);
    const grouped = b.instanceNormalization(b.reshape(map, [0, groups, -1]), ones, zeros, 0);
    const rows = b.transpose(b.reshape(grouped, [b.shapeOf(map)]), [0, 2, 3, 1]);
    const scaled = b.add(b.mul(rows, b.reshape(factors, [-1])), b.reshape(offsets, [-1]));
    return b.reshape(scaled, [b.shapeOf(bytes, 0, 1), -1, b.shapeOf(bytes, 3, 4)]);
  });
  b.output('y', b.concat(normed, 1));
  return referToEpsilon(b.finishFunction(DOMAIN, ['epsilon']));
}
