/**
 * Residual sums x + branch: where a recipe quantizes them, the two values and the sum are in 8 bits. The operators of dino8
 * whose names end with Rounded end with such a sum, and compute it as the separate operators do.
 */
import type { GraphBuilder, Value } from '../../../onnx/builder.ts';
import { type GraphIndex, isReadOnce, isStandard, onlyProducer, onlyReader } from '../../../onnx/graph-index.ts';
import type { Infos } from '../../../onnx/infer/infer.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';

/** The names of the scale and the zero point of a value in 8 bits. */
export type Range = readonly [scale: string, zeroPoint: string];

/** A sum of `x` and a branch. */
export interface ResidualSum {
  /** The other value: floats, or bytes if the sum is rounded. */
  readonly branch: string;
  /** The ranges of x, the branch and the sum; undefined if they are floats. */
  readonly rounding: readonly [x: Range, branch: Range, sum: Range] | undefined;
  /** The node whose result is the sum. */
  readonly end: NodeProto;
}

/** The scale and zero point of a node QuantizeLinear or DequantizeLinear. */
export const rangeOf = ({ input: [, scale = '', zeroPoint = ''] }: NodeProto): Range => [scale, zeroPoint];

export const isSameRange = (a: Range, b: Range): boolean => a[0] === b[0] && a[1] === b[1];

/** The node that makes floats of the bytes of `quantizer`, the only one that reads them; undefined if it is not alone. */
export function pairOf(quantizer: NodeProto | undefined, index: GraphIndex): NodeProto | undefined {
  const dequantizer = isStandard(quantizer, 'QuantizeLinear') ? onlyReader(quantizer, index) : undefined;
  const isPair = isStandard(dequantizer, 'DequantizeLinear') && quantizer !== undefined;
  return isPair && isSameRange(rangeOf(quantizer), rangeOf(dequantizer)) ? dequantizer : undefined;
}

/** All residual sums that read `x`. */
export function sumsOf(x: string, index: GraphIndex): ResidualSum[] {
  return (index.consumers.get(x) ?? []).flatMap((reader): ResidualSum[] => {
    const branch = isStandard(reader, 'Add') ? reader.input.find((name) => name !== x) : undefined;
    if (branch !== undefined) return [{ branch, rounding: undefined, end: reader }];
    const users = reader.opType === 'QuantizeLinear' ? (index.consumers.get(reader.output[0] ?? '') ?? []) : [];
    return users.flatMap((user) => roundedSum(reader, user, index) ?? []);
  });
}

/** x → Q → DQ → Add → Q → DQ, where the other value of the sum is the result of a DequantizeLinear too. */
function roundedSum(quantizer: NodeProto, dequantizer: NodeProto, index: GraphIndex): ResidualSum | undefined {
  const isPair = isStandard(quantizer, 'QuantizeLinear') && isStandard(dequantizer, 'DequantizeLinear');
  if (!isPair || !isSameRange(rangeOf(quantizer), rangeOf(dequantizer))) return undefined;
  const sum = onlyReader(dequantizer, index);
  const other = sum?.input.find((name) => name !== dequantizer.output[0]);
  const branch = onlyProducer(other, index);
  const result = onlyReader(sum, index);
  const end = pairOf(result, index);
  if (!isStandard(sum, 'Add') || !isStandard(branch, 'DequantizeLinear') || !result || !end) return undefined;
  const rounding = [rangeOf(quantizer), rangeOf(branch), rangeOf(result)] as const;
  return { branch: branch.input[0] ?? '', rounding, end };
}

/** The residual sum that alone reads `result`, and its x; undefined if there is none. */
export function sumBehind(result: string, index: GraphIndex): (ResidualSum & { readonly x: string }) | undefined {
  const [reader] = isReadOnce(result, index) ? (index.consumers.get(result) ?? []) : [];
  const dequantizer = pairOf(reader, index);
  const [read, branch] = dequantizer ? [dequantizer.output[0], reader?.output[0]] : [result, result];
  const sum = dequantizer ? onlyReader(dequantizer, index) : reader;
  const other = isStandard(sum, 'Add') ? (sum.input.find((name) => name !== read) ?? '') : '';
  const quantizer = index.producer.get(index.producer.get(other)?.input[0] ?? '');
  const x = dequantizer ? (quantizer?.input[0] ?? '') : other;
  const found = sumsOf(x, index).find((each) => each.branch === branch);
  return found && { ...found, x };
}

/** True if a scale and a zero point are single numbers, the latter of the given type. */
export function isRangeOf([scale, zeroPoint]: Range, type: DataType, infos: Infos): boolean {
  const isNumber = (name: string) => infos.get(name)?.shape?.every((size) => size === 1) ?? false;
  return isNumber(scale) && isNumber(zeroPoint) && infos.get(zeroPoint)?.type === type;
}

/** True if a sum is one of floats, or if its ranges are those of bytes. */
export const isComputable = ({ rounding }: ResidualSum, infos: Infos): boolean =>
  rounding?.every((range) => isRangeOf(range, DataType.UINT8, infos)) ?? true;

/** The ranges of a rounded sum as inputs of a function, each by name. */
export function roundingInputs(b: GraphBuilder): readonly (readonly [scale: Value, zeroPoint: Value])[] {
  return ['x', 'branch', 'sum'].map(
    (name) =>
      [b.input(`${name}_scale`, DataType.FLOAT, []), b.input(`${name}_zero_point`, DataType.UINT8, [])] as const,
  );
}

/**
 * The sum in the body of a function: rounded if there are ranges of x, the branch and the sum. `move` brings the numbers of the
 * branch, floats or bytes, to the places of x.
 */
export function addResidual(
  b: GraphBuilder,
  x: Value,
  branch: Value,
  ranges: readonly (readonly [scale: Value, zeroPoint: Value])[],
  move = (moved: Value) => moved,
): Value {
  const [ofX, ofBranch, ofSum] = ranges;
  if (!ofX || !ofBranch || !ofSum) return b.add(x, move(branch));
  const sum = b.add(roundTo(b, x, ofX), roundTo(b, branch, ofBranch, move));
  return b.scope(ROUNDED_SUM, () => roundTo(b, sum, ofSum));
}

/** Where the body of a function rounds a residual sum. */
const ROUNDED_SUM = 'rounded_sum';

/** True for the name of the DequantizeLinear behind a rounded sum in the body of a function that ONNX Runtime has inlined. */
export const isOfRoundedSum = (name: string): boolean => name.includes(`${ROUNDED_SUM}/DequantizeLinear`);

/** A value by way of integers of a range, which `move` moves. */
export function roundTo(
  b: GraphBuilder,
  value: Value,
  range: readonly [scale: Value, zeroPoint: Value],
  move = (moved: Value) => moved,
): Value {
  const one = (operator: string, input: Value) => b.call('', operator, [input, ...range])[0] as Value; // one result
  return one('DequantizeLinear', move(one('QuantizeLinear', value)));
}
