/** Loading a model whose large weights ONNX Runtime reads where they are, instead of in a copy. */
import { create } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema, TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import type { Model } from '../onnx/read.ts';
import { isExternal, tensorBytes } from '../onnx/tensor.ts';
import { nodesOf } from '../onnx/traverse.ts';
import { DataType, type TensorProto } from '../onnx/types.ts';
import { encodeModel } from '../onnx/write.ts';
import { type Tensor, tensor } from './tensor.ts';

/** Smaller weights stay in the encoding: ONNX Runtime needs shapes and scalars there for constant folding. */
const SMALLEST_SHARED = 1024;

/** ONNX Runtime has no tensors of these types over memory of the caller's. */
const NEVER_SHARED = new Set<number>([DataType.STRING, DataType.INT4, DataType.UINT4]);

/**
 * The inputs, by operator, whose weights ONNX Runtime's optimizer replaces under another name or not at all. It transposes
 * the constants of elementwise operators in place, and would then compute with the original in place of the transposed one.
 */
const SHARED_INPUTS: Readonly<Record<string, number>> = { MatMul: 1, Gemm: 1, Conv: 1, Gather: 0 };

/** A model in the form that `Session.create` hands to ONNX Runtime. */
export interface SharedModel {
  /** The encoding of the model without its large weights. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The large weights by name, as views of the model's memory. */
  readonly weights: Map<string, Tensor>;
}

/** Separates the large weights of a model from the rest, without copying them. */
export function shareWeights(model: Model): SharedModel {
  const weights = new Map<string, Tensor>();
  const unsafe = unsafeNames(model);
  const initializers = model.graph.initializer.map((initializer) => {
    if (!isLarge(initializer) || unsafe.has(initializer.name)) return initializer;
    const shape = initializer.dims.map(Number);
    const type: DataType = initializer.dataType; // the numbers of the file format
    weights.set(initializer.name, tensor(tensorBytes(initializer), shape, type));
    return placeholder(initializer);
  });
  return { bytes: joined(encodeModel(model, initializers)), weights };
}

/** The names of all values that are used elsewhere than in `SHARED_INPUTS`, or that a caller may replace. */
function unsafeNames({ graph }: Model): Set<string> {
  const names = new Set([...graph.input, ...graph.output].map(({ name }) => name));
  const outer = new Set(graph.node);
  for (const node of nodesOf(graph)) {
    const isStandard = outer.has(node) && (node.domain === '' || node.domain === 'ai.onnx');
    const shared = isStandard ? SHARED_INPUTS[node.opType] : undefined;
    for (const [index, name] of node.input.entries()) if (index !== shared) names.add(name);
  }
  return names;
}

function isLarge(initializer: TensorProto): boolean {
  const { rawData, dataType } = initializer;
  return rawData.length >= SMALLEST_SHARED && !isExternal(initializer) && !NEVER_SHARED.has(dataType);
}

/** The initializer as one that lies in a file; ONNX Runtime takes the given weight of the same name in its place. */
function placeholder({ name, dims, dataType, rawData }: TensorProto): TensorProto {
  const where = { location: 'shared', offset: 0, length: rawData.length };
  const externalData = Object.entries(where).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value: String(value) }),
  );
  return create(TensorProtoSchema, {
    name,
    dims,
    dataType,
    externalData,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
  });
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}
