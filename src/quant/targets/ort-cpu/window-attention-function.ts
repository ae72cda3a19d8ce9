/**
 * The operators `ai.dino8::WindowAttention`: attention within the windows of a map (Swin Transformer, Liu et al. 2021,
 * https://arxiv.org/abs/2103.14030), with the normalization before it and the residual sum behind it. dino8's library has a
 * kernel that takes some windows at a time through all of it and finds their tokens in the map by index; the body is the same
 * in separate operators, with a tensor of windows. In the variants with integers the weights of keys are bytes as in byte-weights.ts.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, INTEGER_WINDOW_ATTENTION, ROUNDED, WINDOW_ATTENTION } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { mixByBytes } from './byte-weights.ts';
import { referToEpsilon } from './epsilon.ts';
import { layerInputs, linearLayer, quantizeFor } from './integer-layer.ts';
import { addResidual, roundingInputs, roundTo } from './residual-sum.ts';

/** The number that is added to the score of two tokens that a shifted window brings together from opposite borders. */
export const ACROSS_BORDERS = -100;

/** The largest integer of 32 bits stands for the end of an axis. */
const END = 2 ** 31 - 1;

/** The variants of the operator. */
export interface WindowParts {
  /** Whether scores, and the sums of values that they weight, are products of integers. */
  readonly hasIntegers: boolean;
  /** Whether the residual sum is of values in 8 bits (residual-sum.ts). */
  readonly isRounded: boolean;
}

/** Returns the name of a variant. */
export const windowOperator = ({ hasIntegers, isRounded }: WindowParts): string =>
  `${hasIntegers ? INTEGER_WINDOW_ATTENTION : WINDOW_ATTENTION}${isRounded ? ROUNDED : ''}`;

type Range = readonly [scale: Value, zeroPoint: Value];

/**
 * Defines the function. Its inputs:
 * - x float [batch, height, width, channels]
 * - scale and bias [channels] of the layer normalization, whose `epsilon` is an attribute
 * - the layer to queries, keys and values, which are side by side: the scale (float) and zero point (uint8) of the bytes that it
 *   reads; its weight, int8 in panels (packed-weight.ts); the scale of the weight, float [3 · channels]; its bias, the same
 * - position_bias float [heads, tokens, tokens], added to the scores
 * - the layer behind the attention, with the same five inputs
 * - query_scale float [], window int64 [1], shift int64 [1]: the queries are multiplied by the first; windows have window² tokens;
 *   the map is padded to whole windows on the right and at the bottom, and then rolled up and to the left by `shift`
 * - with integers: scale and zero point of queries (uint8), keys (int8) and values (int8)
 * - if it is rounded: those of x, of what is added to it, and of the sum (uint8)
 *
 * Output y float [batch, height, width, channels].
 */
export function windowAttentionFunction(parts: WindowParts): FunctionProto {
  const b = new GraphBuilder(windowOperator(parts));
  const x = b.input('x', DataType.FLOAT, ['batch', 'height', 'width', 'channels']);
  const [normScale, normBias] = [
    b.input('norm_scale', DataType.FLOAT, ['channels']),
    b.input('norm_bias', DataType.FLOAT, ['channels']),
  ];
  const projections = layerInputs(b, 'projections');
  const positionBias = b.input('position_bias', DataType.FLOAT, ['heads', 'tokens', 'tokens']);
  const output = layerInputs(b, 'output');
  const queryScale = b.input('query_scale', DataType.FLOAT, []);
  const window = b.input('window', DataType.INT64, [1]);
  const shift = b.input('shift', DataType.INT64, [1]);
  const [ofQueries, ofKeys, ofValues] = parts.hasIntegers ? productInputs(b) : [];
  const rounding = parts.isRounded ? roundingInputs(b) : [];

  const channels = b.dimension(x, 3);
  const heads = b.dimension(positionBias, 0);
  const tokens = b.dimension(positionBias, 1);
  const size = b.shapeOf(x, 1, 3);
  const counts = b.div(b.sub(b.add(size, window), b.integers(1)), window);
  const [rows, columns] = [b.slice(counts, [0], [1], [0]), b.slice(counts, [1], [2], [0])];

  const normed = b.layerNormalization(x, normScale, normBias, 0);
  const bytes = quantizeFor(b, normed, projections);
  const rest = b.mod(b.sub(b.integers(0), size), window);
  const amounts = b.vector([0, 0, 0, 0, 0, rest, 0]);
  const padded = b.call('', 'Pad', [bytes, amounts, projections.range[1]])[0] as Value; // one result
  const rolled = roll(b, padded, shift);
  const split = b.reshape(rolled, [0, rows, window, columns, window, channels]);
  const partition = b.reshape(b.transpose(split, [0, 1, 3, 2, 4, 5]), [-1, tokens, channels]);

  const [query, key, value] = b.split(
    linearLayer(b, partition, projections),
    b.vector([channels, channels, channels]),
    3,
    -1,
  );
  const byHead = (part: Value | undefined, order: number[], range?: Range) => {
    const split = (value: Value) => b.transpose(b.reshape(value, [0, 0, heads, -1]), order);
    return range ? roundTo(b, part as Value, range, split) : split(part as Value); // Split has three results
  };
  const scaled = b.mul(byHead(query, [0, 2, 1, 3]), queryScale);
  const queries = ofQueries ? roundTo(b, scaled, ofQueries) : scaled;
  const scores = b.matmul(queries, byHead(key, [0, 2, 3, 1], ofKeys));
  const bias = b.add(shiftMask(b, { rows, columns, window, shift, tokens }), positionBias);
  const perImage = b.reshape(scores, [-1, b.mul(rows, columns), heads, tokens, tokens]);
  const biased = b.reshape(b.add(perImage, bias), [-1, heads, tokens, tokens]);
  const values = byHead(value, [0, 2, 1, 3], ofValues);
  const mixed = parts.hasIntegers ? mixByBytes(b, biased, values) : b.matmul(b.softmax(biased), values);
  const context = b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [0, 0, -1]);
  const attended = linearLayer(b, quantizeFor(b, context, output), output);

  const restore = (values: Value) => {
    const tiles = b.transpose(b.reshape(values, [-1, rows, columns, window, window, channels]), [0, 1, 3, 2, 4, 5]);
    const whole = b.reshape(tiles, [-1, b.mul(rows, window), b.mul(columns, window), channels]);
    const restored = b.slice(roll(b, whole, b.sub(b.integers(0), shift)), [0, 0], [size], [1, 2]);
    // The reshape changes nothing; it tells shape inference that the sum has the size of the map.
    return b.reshape(restored, [b.shapeOf(x)]);
  };
  b.output('y', addResidual(b, x, attended, rounding, restore));
  return referToEpsilon(b.finishFunction(DOMAIN, ['epsilon']));
}

/** The ranges of queries, keys and values. */
function productInputs(b: GraphBuilder): readonly Range[] {
  const types = { queries: DataType.UINT8, keys: DataType.INT8, values: DataType.INT8 };
  return Object.entries(types).map(([name, type]) => [
    b.input(`${name}_scale`, DataType.FLOAT, []),
    b.input(`${name}_zero_point`, type, []),
  ]);
}

/** Moves a map up and to the left by `shift` positions, cyclically. */
function roll(b: GraphBuilder, x: Value, shift: Value): Value {
  const along = (map: Value, axis: number) =>
    b.concat([b.slice(map, [shift], [END], [axis]), b.slice(map, [0], [shift], [axis])], axis);
  return along(along(x, 1), 2);
}

/** After a shift, tokens of different regions must not attend to each other (figure 4 of the paper): [windows, 1, tokens, tokens]. */
function shiftMask(
  b: GraphBuilder,
  { rows, columns, window, shift, tokens }: Record<'rows' | 'columns' | 'window' | 'shift' | 'tokens', Value>,
): Value {
  const regions = (count: Value, orderOfAxis: number) => {
    const length = b.mul(count, window);
    const index = b.range(b.integer(0), b.squeeze(length, [0]), b.integer(1));
    const isPast = (border: Value) => b.cast(b.greaterOrEqual(index, b.sub(length, border)), DataType.INT64);
    return b.mul(b.add(isPast(window), isPast(shift)), b.integers(orderOfAxis));
  };
  const region = b.add(b.unsqueeze(regions(rows, 3), [1]), regions(columns, 1));
  const grouped = b.transpose(b.reshape(region, [rows, window, columns, window]), [0, 2, 1, 3]);
  const byWindow = b.reshape(grouped, [-1, tokens]);
  const same = b.equal(b.unsqueeze(byWindow, [1]), b.unsqueeze(byWindow, [2]));
  return b.unsqueeze(b.where(same, 0, ACROSS_BORDERS), [1]);
}
