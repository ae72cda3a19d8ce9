/** dino8's own kernels: a shared library of custom operators, built by the machine's compiler where there is one. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { checkOptions, optional, truth } from '../base/check-options.ts';
import { DINO8_WARNING, messageOf, UsageError } from '../base/errors.ts';
import { packageRoot, packageVersion } from '../base/package-root.ts';
import { koffi } from './koffi.ts';

const buildFolder = join(packageRoot, 'kernels', 'build');

/** The name of the library begins with this. A hash of the sources and the suffix of the platform follow (kernels/library.mjs). */
const libraryStart = `libdino8_kernels-${process.platform}-${process.arch}-`;

/** The name of the record of a build is the library's with this suffix. */
const RECORD_SUFFIX = '.json';

/** The entry of a session's configuration that asks for the operators of calibration and training. */
export const TRAINING_ENTRY = 'ai.dino8.training_operators';

/** The environment variable that names the instruction set of the kernels. */
const PATH_VARIABLE = 'DINO8_KERNEL_PATH';

/** The fault of each library that is there; undefined for one that works. It does not change while dino8 runs. */
const problems = new Map<string, string | undefined>();

/** The path of the library of this platform, whether it works or not; undefined if there is none or it is switched off. */
function builtLibrary(): string | undefined {
  if (process.env.DINO8_NO_KERNELS || !existsSync(buildFolder)) return undefined;
  const names = readdirSync(buildFolder);
  const name = names.find((file) => file.startsWith(libraryStart) && !file.endsWith(RECORD_SUFFIX));
  return name === undefined ? undefined : join(buildFolder, name);
}

/** Returns why the kernel library that was built cannot be used; undefined if it can, or if there is none. */
export function kernelProblem(): string | undefined {
  const library = builtLibrary();
  return library === undefined ? undefined : knownProblem(library);
}

function knownProblem(library: string): string | undefined {
  if (!problems.has(library)) problems.set(library, libraryProblem(library));
  return problems.get(library);
}

/** The record that kernels/build.mjs writes beside the library. */
const recordSchema = z.object({ version: z.string(), sha256: z.string() });

/**
 * Finds out whether a library works without risking the process: loading a file that was cut off ends it, so that the
 * bytes are compared with their hash before. Returns what is wrong, or undefined.
 */
export function libraryProblem(library: string): string | undefined {
  let record: z.infer<typeof recordSchema>;
  try {
    record = recordSchema.parse(JSON.parse(readFileSync(`${library}${RECORD_SUFFIX}`, 'utf8')));
  } catch {
    return 'the record of its build is not beside it, so that it may be incomplete or of another version of dino8';
  }
  if (record.version !== packageVersion()) return `it was built for dino8 ${record.version}, not ${packageVersion()}`;
  try {
    const sha256 = createHash('sha256').update(readFileSync(library)).digest('hex');
    if (sha256 !== record.sha256) return 'the file is damaged or incomplete';
    koffi().load(library).func('const char *dino8_cpu_paths()')();
    return undefined;
  } catch (error) {
    return `it does not load on this machine (${messageOf(error)})`;
  }
}

let hasWarned = false;

/**
 * Returns the path of the kernel library. Returns undefined if the library was not built, does not work on this machine, or
 * the environment variable DINO8_NO_KERNELS is set: models then run by the standard bodies of their functions. A library
 * that is there and does not work is a warning of the process, the first time.
 */
export function kernelLibrary(): string | undefined {
  const library = builtLibrary();
  const problem = library === undefined ? undefined : knownProblem(library);
  if (problem === undefined) return library;
  if (!hasWarned)
    process.emitWarning(
      `The kernel library of dino8 is not used: ${problem}. Models run without it, more slowly and with the same results; run \`dino8 setup\` to build it again.`,
      DINO8_WARNING,
    );
  hasWarned = true;
  return undefined;
}

/** The session options that use the kernel library. */
export interface KernelOptions {
  /** The path of the library; empty where there is none that works. */
  readonly customOperators: readonly string[];
  /** The path of the library; undefined where there is none that works. */
  readonly flushSubnormals?: string | undefined;
  /** Whether the library's operators for calibration and training are loaded as well. */
  readonly trainingOperators?: boolean | undefined;
}

/**
 * Returns the session options that load the kernel library and take subnormal numbers as zero; where there is no library,
 * they do nothing.
 *
 * @param options `training` loads the operators of calibration and training as well, for graphs of `differentiate` and of
 * the trainer. Leave it out for models of others, which then cannot reach these operators.
 * @example
 * await using session = await Session.create('model.onnx', { threads: 2, ...kernelOptions() });
 */
export function kernelOptions(options: { readonly training?: boolean } = {}): KernelOptions {
  checkOptions('kernelOptions', { training: optional(truth) }, options);
  const library = kernelLibrary();
  if (library === undefined) return { customOperators: [] };
  return { customOperators: [library], flushSubnormals: library, trainingOperators: options.training ?? false };
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
  const names: string = koffi().load(library).func('const char *dino8_cpu_paths()')();
  return names.split(',');
}

/**
 * Returns the instruction set that the kernels of `library` use: the one that the environment variable
 * DINO8_KERNEL_PATH names, or the fastest one of this machine.
 * @throws UsageError if the variable names an instruction set that this machine does not have.
 */
export function kernelCpuPath(library: string): string {
  const path: string | null = koffi().load(library).func('const char *dino8_cpu_path()')();
  if (path === null)
    throw new UsageError(
      `The environment variable ${PATH_VARIABLE} is "${process.env[PATH_VARIABLE]}", but the kernels on this machine run by ${kernelCpuPaths(library).join(', ')}; set it to one of these or unset it.`,
    );
  return path;
}

/**
 * Returns true if the kernels of `library` compute integer products, such as linear layers. They do not where ONNX Runtime's
 * own operators are faster and as exact, which is on ARM processors without dot products of bytes and on x86 processors
 * without AVX2, unless DINO8_KERNEL_PATH names an instruction set.
 */
export function hasIntegerProducts(library: string): boolean {
  return koffi().load(library).func('bool dino8_has_integer_products()')();
}

/**
 * Checks the environment variable DINO8_KERNEL_PATH before `library` is loaded.
 * @throws UsageError if `library` is dino8's own and the variable names an instruction set that this machine does not have.
 */
export function checkKernelPath(library: string): void {
  if (process.env[PATH_VARIABLE] && library === kernelLibrary()) kernelCpuPath(library);
}
