/**
 * How operators of newer versions of the ONNX standard are written in older ones, as the specification's change log has it
 * (https://github.com/onnx/onnx/blob/main/docs/Changelog.md): inputs that were attributes, modes that had other names, and
 * operators that did not exist. Versions that only added element types to an operator need no change; a runtime refuses types
 * that it does not know.
 */
import { findAttribute, float, integerAttribute, integersAttribute, setAttribute } from '../attributes.ts';
import { makeNode } from '../rewrite.ts';
import { type TypedArray, tensorElements } from '../tensor.ts';
import { DataType, type NodeProto, type TensorInfo, type TensorProto } from '../types.ts';

/** The facts and functions that the rewrite of a node may use. */
export interface LoweringContext {
  /** The stored tensor of that name; undefined for every other value. */
  readonly constant: (name: string) => TensorProto | undefined;
  /** The type and shape of a value, as far as shape inference knows them. */
  readonly infoOf: (name: string) => TensorInfo | undefined;
  /** Stores a constant, and returns its name. */
  readonly store: (data: TypedArray, shape: readonly number[]) => string;
  /** A name that is not taken. */
  readonly unique: (base: string) => string;
  /** Refuses the model. The reason follows the name of the node. */
  readonly fail: (reason: string) => never;
}

/** Returns the nodes that take the place of a node, which may be changed. */
type Lowering = (node: NodeProto, context: LoweringContext) => readonly NodeProto[];

/** The rewrite for versions before `since`, in which the operator changed. */
interface Change {
  readonly since: number;
  readonly lower: Lowering;
}

const SQRT_2 = Math.SQRT2;
const TANH_FACTOR = Math.sqrt(2 / Math.PI);

const text = (node: NodeProto, name: string): string =>
  new TextDecoder().decode(findAttribute(node, name)?.s ?? new Uint8Array(0));

const drop = (node: NodeProto, ...names: readonly string[]): void => {
  node.attribute = node.attribute.filter(({ name }) => !names.includes(name));
};

/** The integers of a constant input; undefined if there is no such input. */
function integersOf(node: NodeProto, place: number, { constant, fail }: LoweringContext): number[] | undefined {
  const name = node.input[place];
  if (!name) return undefined;
  const tensor = constant(name) ?? fail(`takes its input ${place} from ${name}, which is not a constant`);
  return [...tensorElements(tensor)].map(Number);
}

/** Refuses a node with an attribute that is given and has another value than that by default. */
const only =
  (name: string, usual: number | string, since: string): Lowering =>
  (node, { fail }) => {
    const attribute = findAttribute(node, name);
    if (!attribute) return [node];
    const value = typeof usual === 'string' ? text(node, name) : Number(attribute.i);
    if (value !== usual) fail(`has ${name} = ${value}, which exists since ${since}`);
    drop(node, name);
    return [node];
  };

/** Refuses a node with dilations other than 1. */
const onlyDense: Lowering = (node, { fail }) => {
  if (integersAttribute(node, 'dilations')?.some((step) => step !== 1))
    fail('has dilations, which exist since version 18');
  drop(node, 'dilations');
  return [node];
};

const refuse =
  (reason: string): Lowering =>
  (_, { fail }) =>
    fail(reason);

/** Several rewrites of one node, none of which replaces it. */
const inPlace =
  (...steps: readonly Lowering[]): Lowering =>
  (node, context) => {
    for (const step of steps) step(node, context);
    return [node];
  };

/** The axes of a reduction become an attribute. */
const axesToAttribute: Lowering = (node, context) => {
  const axes = integersOf(node, 1, context);
  const isNothing = integerAttribute(node, 'noop_with_empty_axes', 0) === 1 && !axes?.length;
  drop(node, 'noop_with_empty_axes');
  if (isNothing) return [makeNode('Identity', node.name, node.input.slice(0, 1), node.output)];
  node.input = node.input.slice(0, 1);
  if (axes?.length) setAttribute(node, 'axes', axes);
  return [node];
};

/** Without sizes, an older Split makes parts of one size only. */
const splitEvenly: Lowering = (node, context) => {
  drop(node, 'num_outputs');
  if (node.input[1]) return [node];
  const shape = context.infoOf(node.input[0] ?? '')?.shape;
  const axis = integerAttribute(node, 'axis', 0);
  const size = shape?.at(axis);
  if (typeof size !== 'number') return context.fail('splits a dimension of unknown size into equal parts');
  const parts = node.output.length;
  const part = Math.ceil(size / parts);
  if (part * parts === size) return [node];
  const sizes = node.output.map((_, index) => Math.max(0, Math.min(part, size - index * part)));
  node.input = [node.input[0] ?? '', context.store(BigInt64Array.from(sizes, BigInt), [parts])];
  return [node];
};

/** The amounts of an older Pad are those of all axes. */
const padAllAxes: Lowering = (node, context) => {
  if (text(node, 'mode') === 'wrap') context.fail('pads by wrapping around, which exists since version 19');
  const axes = integersOf(node, 3, context);
  if (!axes) return [node];
  const amounts = integersOf(node, 1, context) ?? [];
  const rank = context.infoOf(node.input[0] ?? '')?.shape?.length;
  if (rank === undefined) return context.fail('pads some axes of a value whose number of dimensions is unknown');
  const pads = new Array<number>(2 * rank).fill(0);
  for (const [index, axis] of axes.entries())
    for (const side of [0, 1])
      pads[(axis < 0 ? axis + rank : axis) + side * rank] = amounts[index + side * axes.length] ?? 0;
  const [x = '', , value] = node.input;
  node.input = [x, context.store(BigInt64Array.from(pads, BigInt), [2 * rank]), ...(value ? [value] : [])];
  return [node];
};

const refuseScatter: Lowering = (node, { fail }) => {
  const reduction = text(node, 'reduction');
  if (reduction === 'max' || reduction === 'min') fail(`has the reduction ${reduction}, which exists since version 18`);
  return [node];
};

/** The sampling modes were named after two dimensions. */
const samplingMode: Lowering = (node, { infoOf, fail }) => {
  const names: Readonly<Record<string, string>> = {
    '': 'bilinear',
    linear: 'bilinear',
    cubic: 'bicubic',
    nearest: 'nearest',
  };
  const mode = text(node, 'mode');
  const rank = infoOf(node.input[0] ?? '')?.shape?.length;
  if (rank !== undefined && rank !== 4) fail(`samples a value of ${rank} dimensions, which exists since version 20`);
  setAttribute(node, 'mode', names[mode] ?? fail(`has the unknown mode ${mode}`));
  return [node];
};

/** A small language for chains of element-wise nodes in the type of a node's input. */
function chain(node: NodeProto, { infoOf, store, unique }: LoweringContext) {
  const nodes: NodeProto[] = [];
  const [x = ''] = node.input;
  const type = infoOf(x)?.type ?? DataType.FLOAT;
  const emit = (operator: string, ...inputs: string[]): string => {
    const name = unique(`${node.name || node.output[0]}.${operator}`);
    const result = unique(`${name}:`);
    nodes.push(makeNode(operator, name, inputs, [result]));
    return result;
  };
  const scalar = (value: number): string => {
    const stored = store(Float32Array.of(value), []);
    if (type === DataType.FLOAT) return stored;
    const result = emit('Cast', stored);
    setAttribute(nodes.at(-1) as NodeProto, 'to', type); // the node that was just made
    return result;
  };
  /** The last node gives the result of the node that is replaced. */
  const finish = (): NodeProto[] => {
    const last = nodes.at(-1);
    if (last) last.output = [...node.output];
    return nodes;
  };
  return { x, emit, scalar, finish };
}

/** Gelu: x / 2 · (1 + erf(x / √2)), the nodes that exporters write and that runtimes fuse again; or its form by tanh. */
const gelu: Lowering = (node, context) => {
  const { x, emit, scalar, finish } = chain(node, context);
  if (text(node, 'approximate') === 'tanh') {
    const cube = emit('Mul', emit('Mul', emit('Mul', x, x), x), scalar(0.044715));
    const tanh = emit('Tanh', emit('Mul', emit('Add', x, cube), scalar(TANH_FACTOR)));
    emit('Mul', emit('Mul', x, emit('Add', tanh, scalar(1))), scalar(0.5));
  } else {
    const erf = emit('Erf', emit('Div', x, scalar(SQRT_2)));
    emit('Mul', emit('Mul', x, emit('Add', erf, scalar(1))), scalar(0.5));
  }
  return finish();
};

/** Mish: x · tanh(ln(1 + eˣ)). */
const mish: Lowering = (node, context) => {
  const { x, emit, finish } = chain(node, context);
  emit('Mul', x, emit('Tanh', emit('Softplus', x)));
  return finish();
};

/** Swish: x · sigmoid(αx). */
const swish: Lowering = (node, context) => {
  const { x, emit, scalar, finish } = chain(node, context);
  const alpha = findAttribute(node, 'alpha')?.f ?? 1;
  emit('Mul', x, emit('Sigmoid', alpha === 1 ? x : emit('Mul', x, scalar(alpha))));
  return finish();
};

/** Group normalization by the normalization of instances, with one instance for each group. */
const groupNormalization: Lowering = (node, context) => {
  const { infoOf, store, unique, fail } = context;
  const [x = '', scale = '', bias = ''] = node.input;
  const rank = infoOf(x)?.shape?.length;
  const groups = integerAttribute(node, 'num_groups', 0);
  if (rank === undefined || groups < 1) return fail('normalizes a value whose number of dimensions is unknown');
  const name = (part: string) => unique(`${node.name || node.output[0]}.${part}`);
  const integers = (...values: number[]) => store(BigInt64Array.from(values, BigInt), [values.length]);
  const [shape, grouped, normal, back, byChannel, moved, scaled] = [
    'shape',
    'grouped',
    'normal',
    'back',
    'scale',
    'bias',
    'scaled',
  ].map(name) as [string, string, string, string, string, string, string]; // as many as names
  const channel = integers(-1, ...new Array<number>(rank - 2).fill(1));
  const ones = store(new Float32Array(groups).fill(1), [groups]);
  const zeros = store(new Float32Array(groups), [groups]);
  const epsilon = findAttribute(node, 'epsilon')?.f ?? 1e-5;
  return [
    makeNode('Shape', name('Shape'), [x], [shape]),
    makeNode('Reshape', name('Reshape'), [x, integers(0, groups, -1)], [grouped]),
    makeNode('InstanceNormalization', name('InstanceNormalization'), [grouped, ones, zeros], [normal], {
      epsilon: float(epsilon),
    }),
    makeNode('Reshape', name('Reshape'), [normal, shape], [back]),
    makeNode('Reshape', name('Reshape'), [scale, channel], [byChannel]),
    makeNode('Reshape', name('Reshape'), [bias, channel], [moved]),
    makeNode('Mul', name('Mul'), [back, byChannel], [scaled]),
    makeNode('Add', node.name, [scaled, moved], node.output),
  ];
};

/** The integers that a QuantizeLinear makes are those of its zero point, or uint8. */
const quantizedType: Lowering = (node, { constant, store, fail }) => {
  const type = integerAttribute(node, 'output_dtype', 0);
  drop(node, 'output_dtype');
  const [x = '', scale = '', zero] = node.input;
  if (type === 0 || type === DataType.UINT8 || zero) return [node];
  const count = constant(scale)?.dims.map(Number);
  if (type !== DataType.INT8 || !count) return fail(`quantizes to ${DataType[type] ?? type} without a zero point`);
  const length = count.reduce((product, size) => product * size, 1);
  node.input = [x, scale, store(new Int8Array(length), count)];
  return [node];
};

const reductions: readonly Change[] = [{ since: 18, lower: axesToAttribute }];
const isNew = (since: number): readonly Change[] => [{ since, lower: refuse(`exists since version ${since}`) }];

/** The changes of each operator, the newest first. */
export const LOWERING: Readonly<Record<string, readonly Change[]>> = {
  AffineGrid: isNew(20),
  Attention: isNew(23),
  AveragePool: [{ since: 19, lower: onlyDense }],
  BitCast: isNew(26),
  BitwiseAnd: isNew(18),
  BitwiseNot: isNew(18),
  BitwiseOr: isNew(18),
  BitwiseXor: isNew(18),
  Cast: [
    { since: 24, lower: only('round_mode', 'up', 'version 24') },
    { since: 19, lower: only('saturate', 1, 'version 19') },
  ],
  CastLike: [
    { since: 24, lower: only('round_mode', 'up', 'version 24') },
    { since: 19, lower: only('saturate', 1, 'version 19') },
  ],
  CausalConvWithState: isNew(27),
  CenterCropPad: isNew(18),
  Col2Im: isNew(18),
  CumProd: isNew(26),
  DFT: [{ since: 20, lower: refuse('has its axis as an input since version 20') }],
  DeformConv: isNew(19),
  DequantizeLinear: [
    { since: 23, lower: only('output_dtype', 0, 'version 23') },
    { since: 21, lower: only('block_size', 0, 'version 21') },
  ],
  Gelu: [{ since: 20, lower: gelu }],
  GridSample: [{ since: 20, lower: samplingMode }],
  GroupNormalization: [{ since: 21, lower: groupNormalization }],
  ImageDecoder: isNew(20),
  LinearAttention: isNew(27),
  LpPool: [{ since: 18, lower: inPlace(onlyDense, only('ceil_mode', 0, 'version 18')) }],
  Mish: [{ since: 18, lower: mish }],
  Pad: [{ since: 19, lower: padAllAxes }],
  QuantizeLinear: [
    { since: 23, lower: only('precision', 0, 'version 23') },
    { since: 21, lower: inPlace(only('block_size', 0, 'version 21'), quantizedType) },
    { since: 19, lower: only('saturate', 1, 'version 19') },
  ],
  RMSNormalization: isNew(23),
  Range: [{ since: 27, lower: only('stash_type', 1, 'version 27') }],
  ReduceL1: reductions,
  ReduceL2: reductions,
  ReduceLogSum: reductions,
  ReduceLogSumExp: reductions,
  ReduceMax: reductions,
  ReduceMean: reductions,
  ReduceMin: reductions,
  ReduceProd: reductions,
  ReduceSumSquare: reductions,
  RegexFullMatch: isNew(20),
  Resize: [
    { since: 19, lower: refuseHalfPixel },
    {
      since: 18,
      lower: inPlace(
        only('antialias', 0, 'version 18'),
        only('keep_aspect_ratio_policy', 'stretch', 'version 18'),
        refuseAxes,
      ),
    },
  ],
  RotaryEmbedding: isNew(23),
  ScatterElements: [{ since: 18, lower: refuseScatter }],
  ScatterND: [{ since: 18, lower: refuseScatter }],
  SpaceToDepth: [{ since: 28, lower: only('mode', 'DCR', 'version 28') }],
  Split: [{ since: 18, lower: splitEvenly }],
  StringConcat: isNew(20),
  StringSplit: isNew(20),
  SwiGLU: isNew(28),
  Swish: [{ since: 24, lower: swish }],
  TensorScatter: isNew(24),
};

function refuseHalfPixel(node: NodeProto, { fail }: LoweringContext): readonly NodeProto[] {
  if (text(node, 'coordinate_transformation_mode') === 'half_pixel_symmetric')
    fail('places samples by half_pixel_symmetric, which exists since version 19');
  return [node];
}

function refuseAxes(node: NodeProto, { fail }: LoweringContext): readonly NodeProto[] {
  if (findAttribute(node, 'axes')) fail('names the axes to resize, which it can since version 18');
  return [node];
}
