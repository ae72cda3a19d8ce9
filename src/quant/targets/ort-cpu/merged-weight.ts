/**
 * The weight and the bias of one layer that computes what a layer and a product by weights of each head compute, as nodes that
 * constant folding runs once. They compute in double precision, so that the merged weight is rounded once.
 */
import { type GraphIndex, isStandard } from '../../../onnx/graph-index.ts';
import { DataType } from '../../../onnx/types.ts';
import type { Emit, FloatWeight } from '../../weights.ts';
import type { Layer } from './linear-blocks.ts';

/** A stored matrix for each head. */
export interface HeadWeights {
  /** Floats or int8 [1, heads, rows, columns]. */
  readonly values: string;
  readonly heads: number;
  readonly rows: number;
  readonly columns: number;
  /** The names of the scales of int8 values: one number, and one for each column (scale-columns.ts). Floats have no scales. */
  readonly scales: readonly string[];
}

/** A merged weight [rows, columns], and the name of its bias [columns], both float. */
export interface MergedWeight {
  readonly weight: FloatWeight;
  readonly bias: string;
}

/** The number of elements of a stored float tensor; undefined if a value is none. */
export function countStoredFloats(name: string | undefined, { initializer }: GraphIndex): number | undefined {
  const stored = initializer.get(name ?? '');
  return stored?.dataType === DataType.FLOAT ? stored.dims.reduce((count, size) => count * Number(size), 1) : undefined;
}

/** The stored matrices that a value consists of; undefined if it is another one. */
export function headWeightsOf(name: string, index: GraphIndex): HeadWeights | undefined {
  const scale = index.producer.get(name);
  const bytes = isStandard(scale, 'Mul') ? index.producer.get(scale.input[0] ?? '') : undefined;
  const isOfBytes = isStandard(bytes, 'DequantizeLinear') && bytes.input.length === 2;
  const values = isOfBytes ? (bytes.input[0] ?? '') : name;
  const scales = isOfBytes ? [bytes.input[1] ?? '', scale?.input[1] ?? ''] : [];
  const stored = index.initializer.get(values);
  const [one, heads = 0, rows = 0, columns = 0] = stored?.dims.map(Number) ?? [];
  if (stored?.dims.length !== 4 || one !== 1 || stored.dataType !== (isOfBytes ? DataType.INT8 : DataType.FLOAT))
    return undefined;
  const counts = scales.map((each) => countStoredFloats(each, index));
  return isOfBytes && String(counts) !== `1,${columns}` ? undefined : { values, heads, rows, columns, scales };
}

/** A layer whose result is split by head, and the product of each head with stored weights that follows. */
export interface ProductBehind {
  readonly layer: Layer;
  /** A stored number that the layer's result is multiplied by. */
  readonly factor: string | undefined;
  readonly ofHeads: HeadWeights;
  /** Whether the weights of the heads are transposed. */
  readonly isTransposed: boolean;
  /** Stored numbers that the columns of each head's product are multiplied by. */
  readonly scales: string | undefined;
}

/** Adds the nodes of the merged weight of a layer and of the product that follows; its columns are those of one head after another. */
export function weightWithProductBehind(product: ProductBehind, prefix: string, emit: Emit): MergedWeight {
  const { layer, factor, ofHeads, isTransposed, scales } = product;
  const { heads } = ofHeads;
  const depth = layer.dims[0];
  const { weight, bias } = weightOf(layer, emit);
  const width = heads * (isTransposed ? ofHeads.rows : ofHeads.columns);
  const withBias = emit('Concat', [weight, bias], { axis: 0 }); // [depth + 1, columns of the layer]
  const scaled = factor === undefined ? withBias : emit('Mul', [withBias, asDouble(factor, emit)]);
  const byHead = emit('Transpose', [emit('Reshape', [scaled, [depth + 1, heads, -1]])], { perm: [1, 0, 2] });
  const right = matricesOf(ofHeads, emit);
  const each = emit('MatMul', [byHead, isTransposed ? emit('Transpose', [right], { perm: [0, 2, 1] }) : right]);
  const columns = scales === undefined ? each : emit('Mul', [each, asDouble(scales, emit)]);
  const merged = emit('Reshape', [emit('Transpose', [columns], { perm: [1, 0, 2] }), [depth + 1, width]]);
  return {
    weight: floatWeight(emit('Slice', [merged, [0], [depth], [0]]), [depth, width], `${prefix}.weight`, emit),
    bias: asFloat(emit('Reshape', [emit('Slice', [merged, [depth], [depth + 1], [0]]), [-1]]), emit, `${prefix}.bias`),
  };
}

/** A product of each head with stored weights whose results, plus a bias, are side by side what a layer reads. */
export interface ProductBefore {
  readonly layer: Layer;
  readonly ofHeads: HeadWeights;
  /** The stored bias of the products, [columns] of one head after another in any shape. */
  readonly addend: string;
}

/** Adds the nodes of the merged weight of the product and the layer; its rows are those of one head after another. */
export function weightWithProductBefore(product: ProductBefore, prefix: string, emit: Emit): MergedWeight {
  const { layer, ofHeads, addend } = product;
  const [depth, columns] = layer.dims;
  const { weight, bias } = weightOf(layer, emit);
  const byHead = emit('Reshape', [weight, [ofHeads.heads, -1, columns]]);
  const dims = [ofHeads.heads * ofHeads.rows, columns] as const;
  const merged = emit('Reshape', [emit('MatMul', [matricesOf(ofHeads, emit), byHead]), dims]);
  const moved = emit('MatMul', [emit('Reshape', [asDouble(addend, emit), [1, depth]]), weight]);
  return {
    weight: floatWeight(merged, dims, `${prefix}.weight`, emit),
    bias: asFloat(emit('Reshape', [emit('Add', [moved, bias]), [-1]]), emit, `${prefix}.bias`),
  };
}

const asDouble = (name: string, emit: Emit) => emit('Cast', [name], { to: DataType.DOUBLE });
const asFloat = (name: string, emit: Emit, result: string) => emit('Cast', [name], { to: DataType.FLOAT }, result);
const floatWeight = (numbers: string, dims: readonly [number, number], result: string, emit: Emit): FloatWeight => ({
  name: asFloat(numbers, emit, result),
  dims: dims.map(BigInt),
});

/** The numbers of a layer: its weight [depth, columns] and its bias [1, columns]. */
function weightOf({ product, weight }: Layer, emit: Emit): { readonly weight: string; readonly bias: string } {
  const [scale = '', bias = ''] = [product.input[3], product.input[6]];
  return {
    weight: emit('Mul', [asDouble(weight, emit), asDouble(scale, emit)]),
    bias: emit('Reshape', [asDouble(bias, emit), [1, -1]]),
  };
}

/** The numbers of the matrices [heads, rows, columns]. */
function matricesOf({ values, heads, rows, columns, scales }: HeadWeights, emit: Emit): string {
  const matrices = emit('Reshape', [asDouble(values, emit), [heads, rows, columns]]);
  return scales.reduce((numbers, scale) => emit('Mul', [numbers, asDouble(scale, emit)]), matrices);
}
