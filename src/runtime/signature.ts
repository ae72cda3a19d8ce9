/** The inputs and outputs of a loaded model, and other texts that ONNX Runtime allocates. */
import type { TensorInfo } from '../onnx/types.ts';
import { RuntimeError } from './error.ts';
import { ort, type Pointer, readString } from './native.ts';
import { readTypeAndShape } from './native-value.ts';

/** The names, types and shapes of one side of a session, in the order of the model. */
export type Signature = ReadonlyMap<string, TensorInfo>;

/** Returns ONNX Runtime's allocator of texts. */
export function allocator(): Pointer {
  return ort().get('ONNX Runtime has no allocator', 'GetAllocatorWithDefaultOptions');
}

/** Reads a text that ONNX Runtime allocated, and frees it. */
export function takeString(address: Pointer): string {
  const text = readString(address);
  ort().do('ONNX Runtime did not take back a text', 'AllocatorFree', allocator(), address);
  return text;
}

/**
 * Reads the inputs or the outputs of a session.
 * @param name the name of the model, for the error message
 * @throws RuntimeError if one of them is not a tensor
 */
export function readSignature(session: Pointer, side: 'Input' | 'Output', name: string): Signature {
  const context = `${name} could not be described`;
  const count = Number(ort().get(context, `SessionGet${side}Count`, session));
  const signature = new Map<string, TensorInfo>();
  for (let index = 0; index < count; index++) {
    const key = takeString(ort().get(context, `SessionGet${side}Name`, session, index, allocator()));
    const info = ort().get(context, `SessionGet${side}TypeInfo`, session, index);
    try {
      const cast = ort().get(context, 'CastTypeInfoToTensorInfo', info);
      if (!cast) throw new RuntimeError(`${name} has the ${side.toLowerCase()} ${key}, which is not a tensor.`);
      signature.set(key, readTypeAndShape(cast));
    } finally {
      ort().call('ReleaseTypeInfo', info);
    }
  }
  return signature;
}
