import { Dino8Error } from '../base/errors.ts';

/**
 * ONNX Runtime refused a request or failed: the message names the model and, where they are known, the node and shapes. Or a
 * library with native code does not load on this platform.
 * @example
 * try {
 *   await using session = await Session.create('model.onnx', { providers: ['cuda'] });
 * } catch (error) {
 *   if (error instanceof RuntimeError) console.error(error.message);
 * }
 */
export class RuntimeError extends Dino8Error {
  readonly exitCode = 1;
}
