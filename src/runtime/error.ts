import { Dino8Error } from '../base/errors.ts';

/** ONNX Runtime refused a request or failed. The message names the model and, where they are known, the node and shapes. */
export class RuntimeError extends Dino8Error {
  readonly exitCode = 1;
}
