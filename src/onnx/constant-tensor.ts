/** The values of nodes that are constants. */
import { makeTensor } from './tensor.ts';
import type { NodeProto, TensorProto } from './types.ts';

/**
 * Returns the tensor of a `Constant` node (https://onnx.ai/onnx/operators/onnx__Constant.html); undefined for texts and sparse tensors.
 * @param name the name that the tensor gets
 */
export function constantTensor(node: NodeProto, name: string): TensorProto | undefined {
  const [attribute, ...others] = node.attribute;
  if (!attribute || others.length > 0) return undefined;
  switch (attribute.name) {
    case 'value':
      if (attribute.t) attribute.t.name = name;
      return attribute.t;
    case 'value_float':
      return makeTensor(name, [], Float32Array.of(attribute.f));
    case 'value_floats':
      return makeTensor(name, [attribute.floats.length], Float32Array.from(attribute.floats));
    case 'value_int':
      return makeTensor(name, [], BigInt64Array.of(attribute.i));
    case 'value_ints':
      return makeTensor(name, [attribute.ints.length], BigInt64Array.from(attribute.ints));
    default:
      return undefined;
  }
}
