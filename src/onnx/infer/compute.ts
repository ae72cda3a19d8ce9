/** Shape inference for operators that contract, sample, reduce or select. */
import { integerAttribute, integersAttribute } from '../attributes.ts';
import { DataType, type Dimension, type Shape, type TensorInfo } from '../types.ts';
import { broadcastShapes, normalizeAxis, type Rule, unknownShape } from './rule.ts';

/** The shape of a matrix product, with NumPy's treatment of vectors and batches. */
function matmulShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length === 0 || b.length === 0) return undefined;
  const batch = broadcastShapes([a.slice(0, -2), b.slice(0, -2)]) ?? [];
  return [...batch, ...(a.length > 1 ? [a.at(-2)] : []), ...(b.length > 1 ? [b.at(-1)] : [])];
}

const matmul: Rule = ({ inputs: [a, b] }) => [a && { type: a.type, shape: matmulShape(a.shape, b?.shape) }];

/** A product with a weight in blocks, whose number of channels is an attribute; an operator of ONNX Runtime. */
const matmulNBits: Rule = ({ node, inputs: [a] }) => {
  const channels = integerAttribute(node, 'N', 0);
  return [a && { type: a.type, shape: a.shape && channels > 0 ? [...a.shape.slice(0, -1), channels] : undefined }];
};

const matmulInteger: Rule = ({ inputs: [a, b] }) => [{ type: DataType.INT32, shape: matmulShape(a?.shape, b?.shape) }];

const gemm: Rule = ({ node, inputs: [a, b] }) => {
  const rows = integerAttribute(node, 'transA', 0) ? 1 : 0;
  const columns = integerAttribute(node, 'transB', 0) ? 0 : 1;
  return [a && { type: a.type, shape: [a.shape?.[rows], b?.shape?.[columns]] }];
};

const convolution: Rule = ({ node, inputs: [x, weights] }) => {
  if (!x?.shape || !weights?.shape) return [x && { type: x.type, shape: undefined }];
  const rank = x.shape.length - 2;
  const kernel = weights.shape.slice(2);
  const strides = integersAttribute(node, 'strides') ?? [];
  const dilations = integersAttribute(node, 'dilations') ?? [];
  const pads = integersAttribute(node, 'pads') ?? [];
  const automatic = node.attribute.some((attribute) => attribute.name === 'auto_pad');
  const spatial = x.shape.slice(2).map((dimension, axis): Dimension => {
    const taps = kernel[axis];
    if (automatic || typeof dimension !== 'number' || typeof taps !== 'number') return undefined;
    const reach = (dilations[axis] ?? 1) * (taps - 1) + 1;
    const padded = dimension + (pads[axis] ?? 0) + (pads[axis + rank] ?? 0);
    return Math.floor((padded - reach) / (strides[axis] ?? 1)) + 1;
  });
  return [{ type: x.type, shape: [x.shape[0], weights.shape[0], ...spatial] }];
};

const convolutionTransposed: Rule = ({ node, inputs: [x, weights] }) => {
  const ofGroup = weights?.shape?.[1];
  const channels = typeof ofGroup === 'number' ? ofGroup * integerAttribute(node, 'group', 1) : undefined;
  return [x && { type: x.type, shape: x.shape && [x.shape[0], channels, ...unknownShape(x.shape.length - 2)] }];
};

const convolutionInteger: Rule = (context) =>
  convolution(context).map((result) => result && { ...result, type: DataType.INT32 });

const reduction: Rule = ({ node, inputs: [x, axesInput] }) => {
  if (!x?.shape) return [x && { type: x.type, shape: undefined }];
  const { shape, type } = x;
  const keep = integerAttribute(node, 'keepdims', 1) === 1;
  const given = node.input[1] ? axesInput?.values : integersAttribute(node, 'axes');
  if (node.input[1] && !given) return [{ type, shape: keep ? unknownShape(shape.length) : undefined }];
  const axes = given?.length ? given : integerAttribute(node, 'noop_with_empty_axes', 0) ? [] : shape.map((_, i) => i);
  const reduced = new Set(
    axes.map((axis) => (typeof axis === 'number' ? normalizeAxis(axis, shape.length) : undefined)),
  );
  const dimensions = keep
    ? shape.map((dimension, index) => (reduced.has(index) ? 1 : dimension))
    : shape.filter((_, index) => !reduced.has(index));
  const product = node.opType === 'ReduceProd' && shape.length === 1 ? productOf(x) : {};
  return [{ type, shape: dimensions, ...product }];
};

function productOf({ values }: TensorInfo): { values?: Dimension[] } {
  if (!values?.every((value) => typeof value === 'number')) return {};
  return { values: [values.reduce((product, value) => product * value, 1)] };
}

const argReduction: Rule = ({ node, inputs: [x] }) => {
  const axis = x?.shape && normalizeAxis(integerAttribute(node, 'axis', 0), x.shape.length);
  if (!x?.shape || axis === undefined) return [{ type: DataType.INT64, shape: undefined }];
  const keep = integerAttribute(node, 'keepdims', 1) === 1;
  return [{ type: DataType.INT64, shape: keep ? x.shape.with(axis, 1) : x.shape.toSpliced(axis, 1) }];
};

const topK: Rule = ({ node, inputs: [x, k] }) => {
  const axis = x?.shape && normalizeAxis(integerAttribute(node, 'axis', -1), x.shape.length);
  const shape = x?.shape && axis !== undefined ? x.shape.with(axis, k?.values?.[0]) : undefined;
  return [x && { type: x.type, shape }, { type: DataType.INT64, shape }];
};

const gridSample: Rule = ({ inputs: [x, grid] }) => {
  if (!x?.shape || !grid?.shape) return [x && { type: x.type, shape: undefined }];
  return [{ type: x.type, shape: [x.shape[0], x.shape[1], ...grid.shape.slice(1, -1)] }];
};

const REDUCTIONS =
  'ReduceMax ReduceMin ReduceSum ReduceMean ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp';

const nonZero: Rule = ({ inputs: [x] }) => [{ type: DataType.INT64, shape: [x?.shape?.length, undefined] }];

/** Rules by operator; those of other domains than the standard have theirs in front. */
export const computeRules: Record<string, Rule> = {
  ...Object.fromEntries(REDUCTIONS.split(' ').map((name) => [name, reduction])),
  ArgMax: argReduction,
  ArgMin: argReduction,
  MatMul: matmul,
  MatMulInteger: matmulInteger,
  'com.microsoft::MatMulNBits': matmulNBits,
  Gemm: gemm,
  Conv: convolution,
  ConvTranspose: convolutionTransposed,
  ConvInteger: convolutionInteger,
  TopK: topK,
  NonZero: nonZero,
  GridSample: gridSample,
};
