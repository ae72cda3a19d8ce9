/** Decodes ONNX files, in browsers too. The bytes of the initializers stay views into the buffer of the file. */
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { InputError, messageOf } from '../base/errors.ts';
import { checkCalls } from './check-calls.ts';
import { checkValues } from './check-values.ts';
import { checkTensorSize } from './tensor.ts';
import { tensorsOf } from './traverse.ts';
import type { GraphProto, ModelProto } from './types.ts';

/** A model message that has a graph. */
export type Model = ModelProto & {
  /** The main graph. */
  graph: GraphProto;
};

/**
 * Decodes the bytes of a model. External data is not read.
 * @param source the name of the model in error messages
 * @throws InputError if the bytes are not a well-formed ONNX model
 * @example
 * import { readFile } from 'node:fs/promises';
 *
 * const model = parseModel(await readFile('detector.onnx'), 'detector.onnx');
 */
export function parseModel(bytes: Uint8Array, source: string): Model {
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    // A number that begins before the end of the file and ends behind it is an error of JavaScript, with a text about arrays.
    const what =
      error instanceof RangeError && /DataView/.test(error.message) ? 'it ends within a number' : messageOf(error);
    throw new InputError(`${source} is not a readable ONNX model (${what}); is the file complete?`);
  }
  if (!model.graph || model.irVersion === 0n)
    throw new InputError(`${source} is not an ONNX model: it has no graph or no IR version.`);
  try {
    for (const tensor of tensorsOf(model)) checkTensorSize(tensor);
  } catch (error) {
    throw new InputError(`${source}: ${messageOf(error)}`);
  }
  checkCalls(model, source);
  checkValues(model, source);
  return Object.assign(model, { graph: model.graph });
}
