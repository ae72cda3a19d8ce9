/** The declared types of graph inputs and outputs. */
import { create } from '@bufbuild/protobuf';
import {
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import type { DataType, Shape, TensorInfo, ValueInfoProto } from './types.ts';

export function makeValueInfo(name: string, type: DataType, shape: Shape | undefined): ValueInfoProto {
  const dim = (shape ?? []).map((extent) => {
    const dimension = create(TensorShapeProto_DimensionSchema);
    if (typeof extent === 'number') dimension.value = { case: 'dimValue', value: BigInt(extent) };
    if (typeof extent === 'string') dimension.value = { case: 'dimParam', value: extent };
    return dimension;
  });
  const tensor = create(TypeProto_TensorSchema, { elemType: type });
  if (shape) tensor.shape = create(TensorShapeProtoSchema, { dim });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } }),
  });
}

/** undefined for values that are not tensors. */
export function valueInfoToTensorInfo(info: ValueInfoProto): TensorInfo | undefined {
  const value = info.type?.value;
  if (value?.case !== 'tensorType') return undefined;
  const shape = value.value.shape?.dim.map(({ value: extent }) => {
    if (extent.case === 'dimValue') return Number(extent.value);
    return extent.case === 'dimParam' && extent.value ? extent.value : undefined;
  });
  return { type: value.value.elemType as DataType, shape }; // the numbers of the file are those of the enum
}
