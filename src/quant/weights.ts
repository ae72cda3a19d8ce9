/**
 * Weights as integers with one scale per output channel. What is added here are nodes that compute them from the float
 * weight; constant folding then runs them once and drops the float weight.
 *
 * With 4 bits, a block of rows of a channel has a whole-number multiple of the channel's scale: w ≈ q · m · s, q in −7 … 7,
 * m in 1 … 18. The product q · m fits 8 bits, so such a weight is 4 bits in the file, and an 8-bit weight when it runs.
 */
import { makeNode } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../onnx/types.ts';
import { HIGHEST_OF_BITS, SMALLEST_SCALE, type WeightScheme } from './scheme.ts';

/** A float weight, the axis along which every entry has its own scale, and how it becomes integers. */
export interface WeightToQuantize {
  readonly weight: TensorProto;
  readonly axis: number;
  readonly scheme: WeightScheme;
}

export interface QuantizedWeight {
  /** int8, the shape of the weight. */
  readonly values: string;
  /** float, [channels] */
  readonly scale: string;
  /** int8 zeros, [channels] */
  readonly zeroPoint: string;
  /** What the integers stand for, as floats; computed only if it is used. */
  readonly dequantized: string;
}

/** Integers for a weight that were chosen otherwise than by rounding to the nearest: see techniques/. */
export interface RoundedWeight {
  /** Whole numbers q, the shape of the weight. */
  readonly values: TensorProto;
  /** float s, [channels]. */
  readonly scale: TensorProto;
  /** What one unit of each integer is, the shape of the weight. */
  readonly divisor: TensorProto;
  /** int8 m, the shape of the weight with blocks for rows; undefined where there are no blocks. */
  readonly multipliers: TensorProto | undefined;
}

/** Nodes and tensors that a rewrite adds to a graph. */
export interface Additions {
  readonly nodes: NodeProto[];
  readonly tensors: TensorProto[];
  /** The weights that are quantized already, by name: a head that is used twice is stored once. */
  readonly weights: Map<string, QuantizedWeight>;
  /** By name of the weight. */
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
    // In the file: 4 bits. This Cast is left in it, and folded when the model is loaded.
    const stored = emit('Cast', [emit('Cast', [values], { to: DataType.INT4 })], { to: DataType.INT8 });
    if (multipliers === undefined) emit('Identity', [stored], {}, names.values);
    else applyMultipliers(stored, multipliers, weight, scheme.block, emit, names.values);
  }
  added.weights.set(name, names);
  return names;
}

/** Adds a node that computes a constant, and answers its name. */
export type Emit = (
  operator: string,
  inputs: readonly (string | number | readonly number[])[],
  attributes?: Parameters<typeof makeNode>[4],
  result?: string,
) => string;

/** Numbers become float scalars, lists of numbers integer vectors. */
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

export interface WeightDivisors {
  /** What one unit of each integer is, broadcast to the weight. */
  readonly divisor: string;
  /** int8 [rows / block, channels]; undefined without blocks. */
  readonly multipliers: string | undefined;
}

export interface WeightParts extends WeightDivisors {
  /** Whole numbers, as floats. */
  readonly values: string;
}

/** Shares of the largest magnitude that are tried as the end of the range. */
const SHARES = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5];

/** Adds the nodes for rounding to the nearest; the scale [channels] gets the name `scale`. */
export function weightParts(
  weight: TensorProto,
  axis: number,
  scheme: WeightScheme,
  emit: Emit,
  scale: string,
): WeightParts {
  const divisors = weightDivisors(weight, axis, scheme, emit, scale);
  const values = roundTo(emit('Div', [weight.name, divisors.divisor]), scheme.bits, emit);
  return { values, ...divisors };
}

/** Adds the nodes that choose the scales. */
export function weightDivisors(
  weight: TensorProto,
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
  // Blocks have multiples of a scale that fits 8 bits; without them the scale fits the weight's own bits.
  const unit = atLeast(emit('Div', [range, isBlocked ? HIGHEST_OF_BITS[8] : highest]), emit);
  if (!isBlocked) {
    const best = scheme.observer === 'mse' ? leastError(weight.name, unit, others, scheme.bits, emit) : unit;
    emit('Reshape', [best, [-1]], {}, scale);
    return { divisor: emit('Reshape', [scale, column]), multipliers: undefined };
  }
  emit('Reshape', [unit, [-1]], {}, scale);
  if (rank !== 2 || axis !== 1) throw new Error('only matrices have blocks');
  const [rows, channels] = weight.dims.map(Number) as [number, number]; // of a matrix
  const byBlock = emit('Reshape', [weight.name, [rows / scheme.block, scheme.block, channels]]);
  const most = emit('ReduceMax', [emit('Abs', [byBlock]), [1]], { keepdims: 1 });
  const steps = emit('Div', [emit('Div', [most, highest]), unit]);
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

/** True if a weight is cut into blocks: matrices whose rows a block divides. */
export function hasBlocks({ dims }: TensorProto, axis: number, { bits, block }: WeightScheme): boolean {
  return bits === 4 && block > 0 && dims.length === 2 && axis === 1 && Number(dims[0]) % block === 0;
}

const atLeast = (scale: string, emit: Emit) => emit('Max', [scale, SMALLEST_SCALE]);

export function roundTo(steps: string, bits: WeightScheme['bits'], emit: Emit): string {
  const highest = HIGHEST_OF_BITS[bits];
  return emit('Clip', [emit('Round', [steps]), -highest, highest]);
}

/** Of the scales `share` · unit for all SHARES, the one with the least squared error of each channel. */
function leastError(weight: string, unit: string, axes: number[], bits: WeightScheme['bits'], emit: Emit): string {
  const candidates = SHARES.map((share) => (share === 1 ? unit : emit('Mul', [unit, share])));
  return leastOf(
    candidates,
    (divisor) => {
      const back = emit('Mul', [roundTo(emit('Div', [weight, divisor]), bits, emit), divisor]);
      return emit('ReduceSumSquare', [emit('Sub', [weight, back]), axes], { keepdims: 1 });
    },
    emit,
  );
}

/** Of some multiples at and below `whole`, the one with the least squared error of each block. */
function bestMultiple(byBlock: string, unit: string, whole: string, emit: Emit): string {
  const candidates = [1, 0.85, 0.7, 0.55].map((share) =>
    share === 1 ? whole : emit('Max', [emit('Round', [emit('Mul', [whole, share])]), 1]),
  );
  return leastOf(
    candidates,
    (multiple) => {
      const divisor = emit('Mul', [multiple, unit]);
      const back = emit('Mul', [roundTo(emit('Div', [byBlock, divisor]), 4, emit), divisor]);
      return emit('ReduceSumSquare', [emit('Sub', [byBlock, back]), [1]], { keepdims: 1 });
    },
    emit,
  );
}

function leastOf(candidates: readonly string[], errorOf: (candidate: string) => string, emit: Emit): string {
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

/** q · m as int8: each row of `values` by the multiple of its block. */
function applyMultipliers(
  values: string,
  multipliers: string,
  { dims }: TensorProto,
  block: number,
  emit: Emit,
  result: string,
): void {
  const [rows = 0, channels = 0] = dims.map(Number);
  // At most 126. ONNX's Mul takes int8, but ONNX Runtime has no kernel for it: by way of int32.
  const cut = emit('Reshape', [emit('Cast', [values], { to: DataType.INT32 }), [rows / block, block, channels]]);
  const byBlock = emit('Unsqueeze', [emit('Cast', [multipliers], { to: DataType.INT32 }), [1]]);
  const whole = emit('Reshape', [emit('Mul', [cut, byBlock]), [rows, channels]]);
  emit('Cast', [whole], { to: DataType.INT8 }, result);
}
