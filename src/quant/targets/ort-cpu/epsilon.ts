/** The epsilon of a normalization that becomes part of an operator: an attribute of the operator and of its function. */
import { create } from '@bufbuild/protobuf';
import { AttributeProto_AttributeType, AttributeProtoSchema } from 'onnx-buf';
import { type Float, findAttribute, float } from '../../../onnx/attributes.ts';
import type { FunctionProto, NodeProto } from '../../../onnx/types.ts';

/** ONNX's default of LayerNormalization and InstanceNormalization. */
const DEFAULT_EPSILON = 1e-5;

/** Returns the epsilon of a normalization, as the value of an attribute. */
export const epsilonOf = (norm: NodeProto): Float => float(findAttribute(norm, 'epsilon')?.f ?? DEFAULT_EPSILON);

const NORMALIZATIONS = ['LayerNormalization', 'InstanceNormalization'];

/** Makes every normalization of a body take the function's attribute `epsilon`. Returns the function. */
export function referToEpsilon(body: FunctionProto): FunctionProto {
  const reference = create(AttributeProtoSchema, {
    name: 'epsilon',
    refAttrName: 'epsilon',
    type: AttributeProto_AttributeType.FLOAT,
  });
  for (const node of body.node)
    if (NORMALIZATIONS.includes(node.opType))
      node.attribute = [...node.attribute.filter(({ name }) => name !== 'epsilon'), reference];
  return body;
}
