import { Dino8Error } from '../base/errors.ts';

/** ONNX Runtime refused or failed: the message names the model and, where it is known, the node and the shapes. */
export class RuntimeError extends Dino8Error {
  readonly exitCode = 1;
}
