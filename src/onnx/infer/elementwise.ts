/** Shape inference for operators that work element by element, with broadcasting. */
import { findAttribute, integerAttribute } from '../attributes.ts';
import { DataType, type Dimension, type TensorInfo } from '../types.ts';
import { broadcastShapes, type Rule } from './rule.ts';

const sameAsInput: Rule = ({ inputs: [x] }) => [x && { type: x.type, shape: x.shape }];

const broadcast: Rule = ({ inputs }) => {
  const type = inputs[0]?.type;
  return [type === undefined ? undefined : { type, shape: broadcastShapes(inputs.map((input) => input?.shape)) }];
};

const broadcastBoolean: Rule = ({ inputs }) => [
  { type: DataType.BOOL, shape: broadcastShapes(inputs.map((input) => input?.shape)) },
];

const isTest: Rule = ({ inputs: [x] }) => [{ type: DataType.BOOL, shape: x?.shape }];

/** Arithmetic whose values are tracked too, so that the numbers in Shape → Gather → Add → Reshape stay known. */
function arithmetic(compute: (a: number, b: number) => number): Rule {
  return (context) => {
    const [a, b] = context.inputs;
    const [result] = broadcast(context);
    if (!result || !a?.values || !b?.values) return [result];
    return [{ ...result, values: combine(a.values, b.values, compute) }];
  };
}

function combine(a: readonly Dimension[], b: readonly Dimension[], compute: (a: number, b: number) => number) {
  const length = Math.max(a.length, b.length);
  return Array.from({ length }, (_, index) => {
    const left = a[a.length === 1 ? 0 : index];
    const right = b[b.length === 1 ? 0 : index];
    return typeof left === 'number' && typeof right === 'number' ? compute(left, right) : undefined;
  });
}

const where: Rule = ({ inputs: [condition, x, y] }) => {
  const known = x ?? y;
  return [known && { type: known.type, shape: broadcastShapes([condition?.shape, x?.shape, y?.shape]) }];
};

const cast: Rule = ({ node, inputs: [x] }) => {
  const type = integerAttribute(node, 'to', DataType.UNDEFINED) as DataType; // the specification numbers the types alike
  const keepsIntegers = type === DataType.INT64 || type === DataType.INT32;
  return [{ type, shape: x?.shape, ...(keepsIntegers && x?.values ? { values: x.values } : {}) }];
};

const quantizeLinear: Rule = ({ node, inputs: [x, , zeroPoint] }) => {
  const named = integerAttribute(node, 'output_dtype', 0) as DataType; // 0 is UNDEFINED
  return [{ type: zeroPoint?.type ?? (named || DataType.UINT8), shape: x?.shape }];
};

const dequantizeLinear: Rule = ({ inputs: [x, scale] }) => [{ type: scale?.type ?? DataType.FLOAT, shape: x?.shape }];

const dynamicQuantizeLinear: Rule = ({ inputs: [x] }) => [
  { type: DataType.UINT8, shape: x?.shape },
  { type: DataType.FLOAT, shape: [] },
  { type: DataType.UINT8, shape: [] },
];

const identity: Rule = ({ inputs: [x] }) => [x];

const rangeOf: Rule = ({ inputs: [start, limit, delta] }) => {
  const type = start?.type;
  if (type === undefined) return [undefined];
  const [first] = start?.values ?? [];
  const [last] = limit?.values ?? [];
  const [step] = delta?.values ?? [];
  const numbers = typeof first === 'number' && typeof last === 'number' && typeof step === 'number' && step !== 0;
  const length: Dimension = numbers
    ? Math.max(0, Math.ceil((last - first) / step))
    : first === 0 && step === 1
      ? last
      : undefined;
  return [{ type, shape: [length] }];
};

const constant: Rule = ({ node }) => {
  const integer = findAttribute(node, 'value_int');
  if (integer) return [scalar(DataType.INT64)];
  if (findAttribute(node, 'value_float')) return [scalar(DataType.FLOAT)];
  const integers = findAttribute(node, 'value_ints');
  if (integers) return [{ type: DataType.INT64, shape: [integers.ints.length], values: integers.ints.map(Number) }];
  const floats = findAttribute(node, 'value_floats');
  return [floats && { type: DataType.FLOAT, shape: [floats.floats.length] }];
};

const scalar = (type: DataType): TensorInfo => ({ type, shape: [] });

const UNARY =
  'Abs Acos Asin Atan BitwiseNot Ceil Celu Clip Cos CumSum Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish ' +
  'LeakyRelu Log LogSoftmax Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Sqrt ' +
  'Tan Tanh InstanceNormalization GroupNormalization RMSNormalization BatchNormalization Trilu';
const BINARY = 'Pow Min Max Mean And Or Xor BitShift BitwiseAnd BitwiseOr BitwiseXor PRelu Sum';

const each = (names: string, rule: Rule) => Object.fromEntries(names.split(' ').map((name) => [name, rule]));

/** Rules by operator. */
export const elementwiseRules: Record<string, Rule> = {
  ...each(UNARY, sameAsInput),
  ...each(BINARY, broadcast),
  ...each('Equal Less LessOrEqual Greater GreaterOrEqual', broadcastBoolean),
  ...each('IsNaN IsInf', isTest),
  Add: arithmetic((a, b) => a + b),
  Sub: arithmetic((a, b) => a - b),
  Mul: arithmetic((a, b) => a * b),
  Div: arithmetic((a, b) => (b === 0 ? Number.NaN : Math.trunc(a / b))),
  Mod: arithmetic((a, b) => (b === 0 ? Number.NaN : ((a % b) + b) % b)),
  Where: where,
  Cast: cast,
  Identity: identity,
  Range: rangeOf,
  Constant: constant,
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  LayerNormalization: sameAsInput,
};
