/**
 * Weights as integers with one scale for each output channel. The functions here add nodes that compute the integers from
 * the float weight; constant folding then runs these nodes once and drops the float weight.
 *
 * With 4 bits, a block of rows of a channel has a whole-number multiple of the channel's scale: w ≈ q · m · s, q in −7 … 7,
 * m in 1 … 18. The product q · m fits 8 bits, so such a weight has 4 bits in the file and 8 bits when the model runs.
 */
import { makeNode } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../onnx/types.ts';
import { HIGHEST_OF_BITS, SMALLEST_SCALE, type WeightScheme } from './scheme.ts';

/** A float weight: an initializer, or the result of nodes that constant folding runs. */
export type FloatWeight = Pick<TensorProto, 'name' | 'dims'>;

/** A float weight, the axis along which every entry has its own scale, and how it becomes integers. */
export interface WeightToQuantize {
  readonly weight: FloatWeight;
  readonly axis: number;
  readonly scheme: WeightScheme;
}

/** The names of the values that a quantized weight consists of. */
export interface QuantizedWeight {
  /** int8, the shape of the weight. */
  readonly values: string;
  /** float, [channels] */
  readonly scale: string;
  /** int8 zeros, [channels] */
  readonly zeroPoint: string;
  /** The numbers that the integers stand for, as floats; they are computed only if they are used. */
  readonly dequantized: string;
}

/** Integers of a weight that were chosen otherwise than by rounding to the nearest: see techniques/. */
export interface RoundedWeight {
  /** Whole numbers q, the shape of the weight. */
  readonly values: TensorProto;
  /** float s, [channels]. */
  readonly scale: TensorProto;
  /** The number that one unit of each integer stands for, the shape of the weight. */
  readonly divisor: TensorProto;
  /** int8 m [rows / block, channels]; undefined if there are no blocks. */
  readonly multipliers: TensorProto | undefined;
}

/** Nodes and tensors that a rewrite adds to a graph. */
export interface Additions {
  /** Nodes to add, in the order in which they run. */
  readonly nodes: NodeProto[];
  /** Initializers to add. */
  readonly tensors: TensorProto[];
  /** The weights that are quantized already, by name: a weight that is used twice is stored once. */
  readonly weights: Map<string, QuantizedWeight>;
  /** Integers that were chosen before, by the name of the weight. */
  readonly rounded: ReadonlyMap<string, RoundedWeight>;
}

/** Adds the nodes that compute the integers of a weight, with a scale for each entry of its channel axis. */
export function quantizeWeight({ weight, axis, scheme }: WeightToQuantize, added: Additions): QuantizedWeight {
  const { name } = weight;
  const known = added.weights.get(name);
  if (known) return known;
  const names = {
    values: `${name}.int8`,
    scale: `${name}.scale`,
    zeroPoint: `${name}.zero_point`,
    dequantized: `${name}.dequantized`,
  };
  const channels = Number(weight.dims[axis] ?? 0n);
  added.tensors.push(makeTensor(names.zeroPoint, [channels], new Int8Array(channels)));
  const emit = emitter(name, added);
  const rounded = added.rounded.get(name);
  const { values, multipliers, divisor } = rounded
    ? storeRounded(rounded, added)
    : weightParts(weight, axis, scheme, emit, names.scale);
  emit('Mul', [values, divisor], {}, names.dequantized);
  if (scheme.bits === 8) emit('Cast', [values], { to: DataType.INT8 }, names.values);
  else {
    // The file has 4 bits. The second Cast stays in it, and ONNX Runtime folds it when the model is loaded.
    const stored = emit('Cast', [emit('Cast', [values], { to: DataType.INT4 })], { to: DataType.INT8 });
    if (multipliers === undefined) emit('Identity', [stored], {}, names.values);
    else applyMultipliers(stored, multipliers, weight, scheme.block, emit, names.values);
  }
  added.weights.set(name, names);
  return names;
}

/** Adds a node that computes a constant, and returns the name of its result. */
export type Emit = (
  operator: string,
  inputs: readonly (string | number | readonly number[])[],
  attributes?: Parameters<typeof makeNode>[4],
  result?: string,
) => string;

/** A function that adds nodes with names that begin with `prefix`. Numbers become float scalars, lists of numbers vectors of integers. */
export function emitter(prefix: string, added: Pick<Additions, 'nodes' | 'tensors'>): Emit {
  let count = 0;
  return (operator, inputs, attributes = {}, result) => {
    const names = inputs.map((input) => {
      if (typeof input === 'string') return input;
      const name = `${prefix}.constant_${count++}`;
      added.tensors.push(
        typeof input === 'number'
          ? makeTensor(name, [], Float32Array.of(input))
          : makeTensor(name, [input.length], BigInt64Array.from(input, BigInt)),
      );
      return name;
    });
    const output = result ?? `${prefix}.${operator}_${count++}`;
    added.nodes.push(makeNode(operator, output, names, [output], attributes));
    return output;
  };
}

function storeRounded({ values, scale, divisor, multipliers }: RoundedWeight, added: Additions): WeightParts {
  added.tensors.push(values, scale, divisor);
  if (multipliers) added.tensors.push(multipliers);
  return { values: values.name, divisor: divisor.name, multipliers: multipliers?.name };
}

/** The names of the values by which a weight is divided to become integers. */
export interface WeightDivisors {
  /** The number that one unit of each integer stands for, of a shape that broadcasts to the weight. */
  readonly divisor: string;
  /** int8 [rows / block, channels]; undefined without blocks. */
  readonly multipliers: string | undefined;
}

/** The names of a weight's integers and divisors. */
interface WeightParts extends WeightDivisors {
  /** Whole numbers, as floats. */
  readonly values: string;
}

/** Fractions of the largest magnitude that are tried as the end of the range by the observer `mse`. */
const FRACTIONS = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5];

/** Adds the nodes that round to the nearest integer; `scale` is the name that the scale [channels] gets. */
function weightParts(weight: FloatWeight, axis: number, scheme: WeightScheme, emit: Emit, scale: string): WeightParts {
  const divisors = weightDivisors(weight, axis, scheme, emit, scale);
  const values = roundTo(emit('Div', [weight.name, divisors.divisor]), scheme.bits, emit);
  return { values, ...divisors };
}

/** Adds the nodes that choose the scales; `scale` is the name that the scale [channels] gets. */
export function weightDivisors(
  weight: FloatWeight,
  axis: number,
  scheme: WeightScheme,
  emit: Emit,
  scale: string,
): WeightDivisors {
  const rank = weight.dims.length;
  const others = weight.dims.flatMap((_, index) => (index === axis ? [] : [index]));
  const column = weight.dims.map((_, index) => (index === axis ? -1 : 1));
  const magnitude = emit('Abs', [weight.name]);
  const ofChannel = emit('ReduceMax', [magnitude, others], { keepdims: 1 });
  const range =
    scheme.per === 'tensor' ? emit('Max', [emit('Mul', [ofChannel, 0]), emit('ReduceMax', [ofChannel])]) : ofChannel;
  const isBlocked = hasBlocks(weight, axis, scheme);
  const highest = HIGHEST_OF_BITS[scheme.bits];
  // With blocks, the scale fits 8 bits and each block has a multiple of it; without, it fits the bits of the weight.
  const unit = atLeast(emit('Div', [range, isBlocked ? HIGHEST_OF_BITS[8] : highest]), emit);
  if (!isBlocked) {
    const best = scheme.observer === 'mse' ? minimumError(weight.name, unit, others, scheme.bits, emit) : unit;
    emit('Reshape', [best, [-1]], {}, scale);
    return { divisor: emit('Reshape', [scale, column]), multipliers: undefined };
  }
  emit('Reshape', [unit, [-1]], {}, scale);
  if (rank !== 2 || axis !== 1) throw new Error('only matrices have blocks');
  const [rows, channels] = weight.dims.map(Number) as [number, number]; // of a matrix
  const byBlock = emit('Reshape', [weight.name, [rows / scheme.block, scheme.block, channels]]);
  const largestOfBlock = emit('ReduceMax', [emit('Abs', [byBlock]), [1]], { keepdims: 1 });
  const steps = emit('Div', [emit('Div', [largestOfBlock, highest]), unit]);
  const whole = emit('Max', [emit('Ceil', [emit('Sub', [steps, 1e-3])]), 1]);
  const largest = Math.floor(HIGHEST_OF_BITS[8] / highest);
  const chosen = emit('Min', [scheme.observer === 'mse' ? bestMultiple(byBlock, unit, whole, emit) : whole, largest]);
  const divisor = emit('Reshape', [
    emit('Expand', [emit('Mul', [chosen, unit]), [rows / scheme.block, scheme.block, channels]]),
    [rows, channels],
  ]);
  const multipliers = emit('Cast', [emit('Reshape', [chosen, [rows / scheme.block, channels]])], { to: DataType.INT8 });
  return { divisor, multipliers };
}

/** True if a weight is cut into blocks: a matrix whose number of rows is a multiple of the block. */
function hasBlocks({ dims }: FloatWeight, axis: number, { bits, block }: WeightScheme): boolean {
  return bits === 4 && block > 0 && dims.length === 2 && axis === 1 && Number(dims[0]) % block === 0;
}

const atLeast = (scale: string, emit: Emit) => emit('Max', [scale, SMALLEST_SCALE]);

/** Adds the nodes that round `steps` to whole numbers within the range of so many bits. */
function roundTo(steps: string, bits: WeightScheme['bits'], emit: Emit): string {
  const highest = HIGHEST_OF_BITS[bits];
  return emit('Clip', [emit('Round', [steps]), -highest, highest]);
}

/** Adds the nodes that choose, for each channel, the scale with the smallest squared error: `unit` times one of FRACTIONS. */
function minimumError(weight: string, unit: string, axes: number[], bits: WeightScheme['bits'], emit: Emit): string {
  const candidates = FRACTIONS.map((fraction) => (fraction === 1 ? unit : emit('Mul', [unit, fraction])));
  return minimumOf(
    candidates,
    (divisor) => {
      const back = emit('Mul', [roundTo(emit('Div', [weight, divisor]), bits, emit), divisor]);
      return emit('ReduceSumSquare', [emit('Sub', [weight, back]), axes], { keepdims: 1 });
    },
    emit,
  );
}

/** Adds the nodes that choose, for each block, the multiple up to `whole` with the smallest squared error. */
function bestMultiple(byBlock: string, unit: string, whole: string, emit: Emit): string {
  const candidates = [1, 0.85, 0.7, 0.55].map((fraction) =>
    fraction === 1 ? whole : emit('Max', [emit('Round', [emit('Mul', [whole, fraction])]), 1]),
  );
  return minimumOf(
    candidates,
    (multiple) => {
      const divisor = emit('Mul', [multiple, unit]);
      const back = emit('Mul', [roundTo(emit('Div', [byBlock, divisor]), 4, emit), divisor]);
      return emit('ReduceSumSquare', [emit('Sub', [byBlock, back]), [1]], { keepdims: 1 });
    },
    emit,
  );
}

/** Adds the nodes that choose, element by element, the candidate with the smallest error. */
export function minimumOf(candidates: readonly string[], errorOf: (candidate: string) => string, emit: Emit): string {
  let [best = '', ...rest] = candidates;
  let error = errorOf(best);
  for (const candidate of rest) {
    const other = errorOf(candidate);
    const isLess = emit('Less', [other, error]);
    best = emit('Where', [isLess, candidate, best]);
    error = emit('Min', [other, error]);
  }
  return best;
}

/** Adds the nodes that compute q · m as int8: each row of `values` times the multiple of its block. */
function applyMultipliers(
  values: string,
  multipliers: string,
  { dims }: FloatWeight,
  block: number,
  emit: Emit,
  result: string,
): void {
  const [rows = 0, channels = 0] = dims.map(Number);
  // The product is at most 126. ONNX's Mul takes int8, but ONNX Runtime has no kernel for that, so it is computed in int32.
  const cut = emit('Reshape', [emit('Cast', [values], { to: DataType.INT32 }), [rows / block, block, channels]]);
  const byBlock = emit('Unsqueeze', [emit('Cast', [multipliers], { to: DataType.INT32 }), [1]]);
  const whole = emit('Reshape', [emit('Mul', [cut, byBlock]), [rows, channels]]);
  emit('Cast', [whole], { to: DataType.INT8 }, result);
}
