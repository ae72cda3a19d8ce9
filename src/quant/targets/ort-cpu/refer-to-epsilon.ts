/** Functions whose `epsilon` is that of the LayerNormalization in their bodies. */
import { create } from '@bufbuild/protobuf';
import { AttributeProto_AttributeType, AttributeProtoSchema } from 'onnx-buf';
import type { FunctionProto } from '../../../onnx/types.ts';

/** Makes every LayerNormalization of a body take the function's attribute `epsilon`. Returns the function. */
export function referToEpsilon(body: FunctionProto): FunctionProto {
  const reference = create(AttributeProtoSchema, {
    name: 'epsilon',
    refAttrName: 'epsilon',
    type: AttributeProto_AttributeType.FLOAT,
  });
  for (const node of body.node)
    if (node.opType === 'LayerNormalization')
      node.attribute = [...node.attribute.filter(({ name }) => name !== 'epsilon'), reference];
  return body;
}
