/**
 * `dino8/onnx`: reads, builds, rewrites and writes ONNX models.
 *
 * @packageDocumentation
 */
export { type AttributeValue, Float, findAttribute, float, makeAttribute, setAttribute } from './onnx/attributes.ts';
export { ABSENT, defined, GraphBuilder, type Operand, type TopK, type Value } from './onnx/builder.ts';
export { copyModel } from './onnx/copy.ts';
export { countMultiplyAdds, type MultiplyAdds } from './onnx/count-multiply-adds.ts';
export { extractModel } from './onnx/extract.ts';
export { type GraphIndex, indexGraph } from './onnx/graph-index.ts';
export { raiseOpset } from './onnx/import/raise-opset.ts';
export { type Infos, inferShapes } from './onnx/infer/infer.ts';
export { lowerModel, type PortableForm } from './onnx/lower/lower.ts';
export { getMetadata, setMetadata } from './onnx/metadata.ts';
export { multiplyAdds, type ShapeOf } from './onnx/multiply-adds.ts';
export { type Attributes, NodeBuilder } from './onnx/node-builder.ts';
export { type Model, parseModel, readModel } from './onnx/read.ts';
export { makeNode, modulePath, removeUnused, replaceUses, sortTopologically } from './onnx/rewrite.ts';
export { dimensionsOf, makeTensor, type TypedArray, tensorElements } from './onnx/tensor.ts';
export {
  type AttributeProto,
  DataType,
  type Dimension,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type Shape,
  type TensorInfo,
  type TensorProto,
  type ValueInfoProto,
} from './onnx/types.ts';
export { modelBytes, type WriteOptions, writeModel } from './onnx/write.ts';
