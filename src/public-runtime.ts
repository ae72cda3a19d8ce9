/**
 * `dino8/runtime`: runs ONNX models in ONNX Runtime, with dino8's kernels where they are built.
 *
 * @packageDocumentation
 */
export { RuntimeError } from './runtime/error.ts';
export { type KernelOptions, kernelOptions } from './runtime/kernels.ts';
export type { ModelRunner, RunResults } from './runtime/model-runner.ts';
export type { Pointer } from './runtime/native.ts';
export {
  availableProviders,
  type OptimizationLevel,
  type Provider,
  type ProviderName,
  type SessionOptions,
} from './runtime/options.ts';
export type { Outputs } from './runtime/outputs.ts';
export { type ProfiledNode, profileRun } from './runtime/profile.ts';
export { type Feeds, type RunOptions, Session } from './runtime/session.ts';
export type { Signature } from './runtime/signature.ts';
export {
  booleans,
  copyTensor,
  floatData,
  floats,
  integers,
  type Tensor,
  type TensorBytes,
  tensor,
  tensorOf,
} from './runtime/tensor.ts';
