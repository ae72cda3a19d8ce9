/**
 * The observation of one value, as the model-local function `ai.dino8::Observe`: its body is standard ONNX, and where dino8's
 * library is loaded one kernel computes it. A few kilobytes leave the graph for each value, whatever its size.
 */
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import { DOMAIN, OBSERVE } from '../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../onnx/types.ts';
import { BINS_PER_SIDE, MINIMUM_EXPONENT } from './histogram.ts';

/** The counters of a histogram: its bins, and one for the elements that do not count. */
export const COUNTERS = 2 * BINS_PER_SIDE + 1;

/**
 * The function. Inputs:
 * - x float [..., channels], of at least one dimension
 * - valid boolean, of any shape: one flag for each block of equally many rows; the rows of a false flag do not count
 * - limit float scalar: elements whose magnitude is above it, or that are not finite, do not count
 *
 * Outputs:
 * - counts int32 [COUNTERS]: the number of elements in each bin; bin i begins at (i − BINS_PER_SIDE) · 2^exponent
 * - summary float [4]: minimum, maximum, exponent, number of channels
 * - channels float [3 · channels]: the minimum of each channel, then the maxima, then the means
 * - zero int64 [1]: 0, which is known only once the value is observed (see `observing-model.ts`)
 */
export function observeFunction(): FunctionProto {
  const b = new GraphBuilder(OBSERVE);
  const x = b.input('x', DataType.FLOAT, undefinedShape());
  const valid = b.input('valid', DataType.BOOL, undefinedShape());
  // An infinite limit still leaves out infinite elements, which have no bin.
  const limit = b.min(b.input('limit', DataType.FLOAT, []), LARGEST_FLOAT);
  const channels = b.shapeOf(x, -1);
  const blocks = b.reshape(valid, [-1, 1]);
  const rows = b.reshape(x, [b.dimension(blocks, 0), -1]);
  const counted = b.and(b.lessOrEqual(b.abs(rows), limit), blocks);
  const byChannel = (outside: number) => b.reshape(b.where(counted, rows, outside), [-1, channels]);
  const lowest = b.reduceMin(byChannel(Number.POSITIVE_INFINITY), [0], false);
  const highest = b.reduceMax(byChannel(Number.NEGATIVE_INFINITY), [0], false);
  const number = b.reduceSum(b.cast(counted, DataType.FLOAT), [0, 1], false);
  const perChannel = b.max(b.div(number, b.cast(channels, DataType.FLOAT)), 1e-30);
  const mean = b.div(b.reduceSum(byChannel(0), [0], false), perChannel);

  const largest = b.reduceMax(b.where(counted, b.abs(rows), 0), [0, 1], false);
  const exponent = exponentFor(b, largest);
  const width = b.pow(2, exponent);
  const bin = b.add(b.floor(b.div(b.where(counted, rows, 0), width)), BINS_PER_SIDE);
  const index = b.cast(b.reshape(b.where(counted, bin, COUNTERS - 1), [-1]), DataType.INT64);
  const none = b.constant(new Int32Array(COUNTERS), [COUNTERS]);
  const one = b.expand(b.constant(Int32Array.of(1), [1]), [b.shapeOf(index)]);
  b.output('counts', b.scatterAdd(none, index, one, 0));
  const scalars = [
    b.reduceMin(lowest, [0], false),
    b.reduceMax(highest, [0], false),
    exponent,
    b.squeeze(b.cast(channels, DataType.FLOAT), [0]),
  ];
  b.output(
    'summary',
    b.concat(
      scalars.map((value) => b.unsqueeze(value, [0])),
      0,
    ),
  );
  b.output('channels', b.concat([lowest, highest, mean], 0));
  // No number is below −∞. ONNX Runtime does not work this out before the run, so the result waits for the observation.
  b.output('zero', b.unsqueeze(b.cast(b.less(exponent, Number.NEGATIVE_INFINITY), DataType.INT64), [0]));
  return b.finishFunction(DOMAIN);
}

/** The largest finite number of 32 bits. */
const LARGEST_FLOAT = (2 - 2 ** -23) * 2 ** 127;

/** The function takes any shape. */
const undefinedShape = () => [] as const;

/** The smallest e with largest < BINS_PER_SIDE · 2^e. The logarithm may be off by one next to a power of two and is corrected. */
function exponentFor(b: GraphBuilder, largest: Value): Value {
  const guess = b.floor(b.div(b.log(b.max(largest, 2 ** -120)), Math.LN2));
  const isTooLow = b.cast(b.greaterOrEqual(largest, b.pow(2, b.add(guess, 1))), DataType.FLOAT);
  const isTooHigh = b.cast(b.less(largest, b.pow(2, guess)), DataType.FLOAT);
  const power = b.sub(b.add(guess, isTooLow), isTooHigh); // 2^power ≤ largest < 2^(power + 1)
  return b.max(b.sub(power, Math.log2(BINS_PER_SIDE) - 1), MINIMUM_EXPONENT);
}
