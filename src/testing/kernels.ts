/** The instruction sets of the kernels, and those of this machine, for tests of kernels. */
import { kernelCpuPaths, kernelLibrary } from '../runtime/kernels.ts';

/** Every instruction set that the kernels are written for. */
export const KERNEL_PATHS = [
  'scalar',
  'avx2',
  'avx-vnni',
  'avx512',
  'avx512-vnni',
  'amx-int8',
  'neon',
  'neon-dot',
  'neon-i8mm',
] as const;

const library = kernelLibrary();
const here = library === undefined ? [] : kernelCpuPaths(library);

/** The session option that loads the kernel library. Tests that use it are skipped unless `hasKernels` is true. */
export const withKernels = { customOperators: library === undefined ? [] : [library] };

/** The session options that load the operators of calibration and training as well. */
export const withTrainingKernels = { ...withKernels, trainingOperators: true };

/** True if the kernel library was built. */
export const hasKernels = library !== undefined;

/** True if this machine can run the kernels of an instruction set; tests of the others are skipped. */
export const hasKernelPath = (path: string): boolean => here.includes(path);
