/** The declared types of graph inputs and outputs. */
import { create } from '@bufbuild/protobuf';
import {
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import type { DataType, GraphProto, Shape, TensorInfo, ValueInfoProto } from './types.ts';

/** Declares the type and the shape of a value; without a shape not even the rank is declared. */
export function makeValueInfo(name: string, type: DataType, shape: Shape | undefined): ValueInfoProto {
  const dim = (shape ?? []).map((size) => {
    const dimension = create(TensorShapeProto_DimensionSchema);
    if (typeof size === 'number') dimension.value = { case: 'dimValue', value: BigInt(size) };
    if (typeof size === 'string') dimension.value = { case: 'dimParam', value: size };
    return dimension;
  });
  const tensor = create(TypeProto_TensorSchema, { elemType: type });
  if (shape) tensor.shape = create(TensorShapeProtoSchema, { dim });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } }),
  });
}

/** Selects the declarations of a graph's inner values, which its nodes compute and which are not its outputs. */
export function declarationsWithin(
  { node, output }: GraphProto,
  declared: readonly ValueInfoProto[],
): ValueInfoProto[] {
  const computed = new Set(node.flatMap((each) => each.output));
  for (const { name } of output) computed.delete(name);
  return declared.filter(({ name }) => computed.has(name));
}

/** The declared type and shape of a value; undefined for values that are not tensors. */
export function valueInfoToTensorInfo(info: ValueInfoProto): TensorInfo | undefined {
  const value = info.type?.value;
  if (value?.case !== 'tensorType') return undefined;
  const shape = value.value.shape?.dim.map(({ value: size }) => {
    // Exporters write −1 for a dimension that is not known.
    if (size.case === 'dimValue') return size.value < 0n ? undefined : Number(size.value);
    return size.case === 'dimParam' && size.value ? size.value : undefined;
  });
  return { type: value.value.elemType as DataType, shape }; // the numbers of the file are those of the enum
}
