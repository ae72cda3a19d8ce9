/** dino8's own kernels: a shared library of custom operators, built by the machine's compiler where there is one. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';

const buildFolder = join(packageRoot, 'kernels', 'build');

/** The environment variable that names the instruction set of the kernels. */
const PATH_VARIABLE = 'DINO8_KERNEL_PATH';

/**
 * Returns the path of the kernel library. Returns undefined if the library was not built or the environment variable
 * DINO8_NO_KERNELS is set: models then run by the standard bodies of their functions.
 */
export function kernelLibrary(): string | undefined {
  if (process.env.DINO8_NO_KERNELS || !existsSync(buildFolder)) return undefined;
  const start = `libdino8_kernels-${process.platform}-${process.arch}-`;
  const name = readdirSync(buildFolder).find((file) => file.startsWith(start));
  return name === undefined ? undefined : join(buildFolder, name);
}

/** The session options that use the kernel library. */
export interface KernelOptions {
  /** The path of the library; empty where it was not built. */
  readonly customOperators: readonly string[];
  /** The path of the library; undefined where it was not built. */
  readonly flushSubnormals?: string | undefined;
}

/**
 * Returns the session options that load the kernel library and take subnormal numbers as zero; where the library was not
 * built, they do nothing.
 *
 * @example
 * await using session = await Session.create('model.onnx', { threads: 2, ...kernelOptions() });
 */
export function kernelOptions(): KernelOptions {
  const library = kernelLibrary();
  return library === undefined ? { customOperators: [] } : { customOperators: [library], flushSubnormals: library };
}

/** Returns the message of the build that failed last; undefined if the last build succeeded or there was none. */
export function kernelBuildError(): string | undefined {
  const file = join(buildFolder, 'error.txt');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

/**
 * Returns the instruction sets for which `library` has kernels that run on this machine, the fastest one first. All of
 * them are "amx-int8", "avx512-vnni", "avx-vnni", "avx512", "avx2", "neon-i8mm", "neon-dot", "neon" and "scalar".
 */
export function kernelCpuPaths(library: string): string[] {
  const names: string = koffi.load(library).func('const char *dino8_cpu_paths()')();
  return names.split(',');
}

/**
 * Returns the instruction set that the kernels of `library` use: the one that the environment variable
 * DINO8_KERNEL_PATH names, or the fastest one of this machine.
 * @throws UsageError if the variable names an instruction set that this machine does not have.
 */
export function kernelCpuPath(library: string): string {
  const path: string | null = koffi.load(library).func('const char *dino8_cpu_path()')();
  if (path === null)
    throw new UsageError(
      `The environment variable ${PATH_VARIABLE} is "${process.env[PATH_VARIABLE]}", but the kernels on this machine run by ${kernelCpuPaths(library).join(', ')}; set it to one of these or unset it.`,
    );
  return path;
}

/**
 * Returns true if the kernels of `library` compute integer products, such as linear layers. They do not on processors
 * without dot products of bytes, where ONNX Runtime's own operators are faster, unless DINO8_KERNEL_PATH names an
 * instruction set.
 */
export function hasIntegerProducts(library: string): boolean {
  return koffi.load(library).func('bool dino8_has_integer_products()')();
}

/**
 * Checks the environment variable DINO8_KERNEL_PATH before `library` is loaded.
 * @throws UsageError if `library` is dino8's own and the variable names an instruction set that this machine does not have.
 */
export function checkKernelPath(library: string): void {
  if (process.env[PATH_VARIABLE] && library === kernelLibrary()) kernelCpuPath(library);
}
