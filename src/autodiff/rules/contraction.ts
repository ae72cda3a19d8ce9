/** Rules of matrix products and convolutions. */
import { findAttribute, integerAttribute, integersAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder, Value } from '../../onnx/builder.ts';
import { dimensionAt, inputAt, type Rule, rankOf, rule, shapeVector, transposeMatrix, unbroadcast } from '../rule.ts';

/** For Y = A · B, dA = dY · Bᵀ and dB = Aᵀ · dY. A vector on the left is a row, and one on the right is a column. */
const matmul: Rule = rule((context) => {
  const { b, gradient, x: left, wanted } = context;
  const right = inputAt(context, 1);
  const [isRow, isColumn] = [rankOf(left) === 1, rankOf(right) === 1];
  const matrices = { left: isRow ? b.unsqueeze(left, [0]) : left, right: isColumn ? b.unsqueeze(right, [1]) : right };
  const withColumn = isColumn ? b.unsqueeze(gradient, [rankOf(gradient)]) : gradient;
  const whole = isRow ? b.unsqueeze(withColumn, [rankOf(withColumn) - 1]) : withColumn;
  const back = (value: Value, to: Value) => b.reshape(value, [shapeVector(b, to)]);
  const leftGradient = () => {
    const product = unbroadcast(b, b.matmul(whole, transposeMatrix(b, matrices.right)), matrices.left);
    return isRow ? back(product, left) : product;
  };
  const rightGradient = () => {
    const product = weightGradient(b, matrices.left, matrices.right, whole);
    return isColumn ? back(product, right) : product;
  };
  return [wanted[0] ? leftGradient() : undefined, wanted[1] ? rightGradient() : undefined];
});

/** The gradient of the right operand of a matrix product. */
function weightGradient(b: GraphBuilder, left: Value, right: Value, gradient: Value): Value {
  if (rankOf(right) > 2) return unbroadcast(b, b.matmul(transposeMatrix(b, left), gradient), right);
  // A matrix multiplies each row of a batch, so that all rows form one matrix, and one product sums over them.
  const rows = (value: Value) =>
    rankOf(value) === 2 ? value : b.reshape(value, [-1, dimensionAt(b, value, rankOf(value) - 1)]);
  return b.gemm(rows(left), rows(gradient), { a: true });
}

/** Y = α · op(A) · op(B) + β · C, where op transposes or not. */
const gemm: Rule = rule((context) => {
  const { b, node, gradient, x: left, wanted, inputs } = context;
  const right = inputAt(context, 1);
  const scale = (name: string) => findAttribute(node, name)?.f ?? 1;
  const [transA, transB] = [integerAttribute(node, 'transA', 0) === 1, integerAttribute(node, 'transB', 0) === 1];
  const scaled = scale('alpha') === 1 ? gradient : b.mul(gradient, scale('alpha'));
  const addend = inputs[2]?.name ? inputs[2] : undefined;
  return [
    wanted[0]
      ? transA
        ? b.gemm(right, scaled, { a: transB, b: true })
        : b.gemm(scaled, right, { b: !transB })
      : undefined,
    wanted[1]
      ? transB
        ? b.gemm(scaled, left, { a: true, b: transA })
        : b.gemm(left, scaled, { a: !transA })
      : undefined,
    addend && wanted[2]
      ? unbroadcast(b, scale('beta') === 1 ? gradient : b.mul(gradient, scale('beta')), addend)
      : undefined,
  ];
});

/** A convolution over height and width without groups, with explicit padding. */
const convolution: Rule = rule((context) => {
  const { b, node, gradient, x, wanted } = context;
  const weights = inputAt(context, 1);
  const two = (name: string) => integersAttribute(node, name) ?? [1, 1];
  const pads = integersAttribute(node, 'pads') ?? [0, 0, 0, 0];
  if (rankOf(x) !== 4 || integerAttribute(node, 'group', 1) !== 1 || findAttribute(node, 'auto_pad'))
    throw new Error('only convolutions over height and width, without groups and automatic padding, have a gradient');
  const settings = { strides: two('strides'), dilations: two('dilations'), pads };
  const dimensions = (value: Value) => [b.dimension(value, 2), b.dimension(value, 3)] as const;
  const cut = (value: Value, like: Value) => {
    const [height, width] = dimensions(like);
    return b.slice(value, [0, 0], [height, width], [2, 3]);
  };
  return [
    wanted[0] ? inputGradient(b, gradient, weights, x, settings) : undefined,
    // For the weights, batch and channels exchange their roles, and so do stride and dilation.
    wanted[1]
      ? b.transpose(
          cut(
            b.convolve(b.transpose(x, [1, 0, 2, 3]), b.transpose(gradient, [1, 0, 2, 3]), {
              strides: settings.dilations,
              dilations: settings.strides,
              pads,
            }),
            weights,
          ),
          [1, 0, 2, 3],
        )
      : undefined,
    wanted[2] ? b.reduceSum(gradient, [0, 2, 3], false) : undefined,
  ];
});

/** The attributes of a convolution. */
interface Convolution {
  readonly strides: number[];
  readonly dilations: number[];
  readonly pads: number[];
}

/** The transposed convolution without padding covers the padded input, of which the gradient of the input is a part. */
function inputGradient(b: GraphBuilder, gradient: Value, weights: Value, x: Value, settings: Convolution): Value {
  const { strides, dilations, pads } = settings;
  const whole = b.convolveTransposed(gradient, weights, { strides, dilations });
  // Rows and columns at the end that no window reached have the gradient 0.
  const dimensions = b.shapeOf(x, 2, 4);
  const starts = b.integers(pads[0] ?? 0, pads[1] ?? 0);
  const ends = b.add(dimensions, starts);
  const lacking = b.max(b.sub(ends, b.shapeOf(whole, 2, 4)), b.integers(0, 0));
  const padded = b.padEnd(whole, lacking, [2, 3]);
  return b.slice(padded, [pads[0] ?? 0, pads[1] ?? 0], [ends], [2, 3]);
}

/** Rules by operator. */
export const contractionRules: Record<string, Rule> = { MatMul: matmul, Gemm: gemm, Conv: convolution };
