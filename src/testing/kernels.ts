/** What the tests of kernels share: which instruction sets there are, and which of them this machine has. */
import { kernelCpuPaths, kernelLibrary } from '../runtime/kernels.ts';

/** Every instruction set that the kernels are written for. */
export const KERNEL_PATHS = ['scalar', 'avx2', 'avx512', 'neon'] as const;

const library = kernelLibrary();
const here = library === undefined ? [] : kernelCpuPaths(library);

/** The session option that loads the kernel library; tests that use it run only where `hasKernels`. */
export const withKernels = { customOperators: library === undefined ? [] : [library] };

/** Whether the kernel library was built: tests that need it are skipped where it was not. */
export const hasKernels = library !== undefined;

/** Whether this machine has the kernels of an instruction set: tests of the others are skipped. */
export const hasKernelPath = (path: string): boolean => here.includes(path);
