/** The step that examines the machine: versions, CPU features, kernels and execution providers. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { messageOf } from '../base/errors.ts';
import { packageVersion } from '../base/package-root.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import {
  hasIntegerProducts,
  kernelBuildError,
  kernelCpuPath,
  kernelCpuPaths,
  kernelLibrary,
  kernelProblem,
} from '../runtime/kernels.ts';
import { availableProviders, type ProviderName } from '../runtime/options.ts';
import { Session } from '../runtime/session.ts';
import { tryProvider } from '../runtime/try-provider.ts';
import { runtimeVersion } from './describe-machine.ts';
import { engineReport } from './web/engine-files.ts';

/** The CPU features that matter to quantized models. */
const FEATURES = [
  'sse4_2',
  'avx',
  'avx2',
  'fma',
  'avx512f',
  'avx512_vnni',
  'avx_vnni',
  'amx_int8',
  'asimd',
  'asimddp',
  'i8mm',
];
const PROVIDERS: readonly ProviderName[] = ['cpu', 'webgpu', 'cuda', 'tensorrt'];

/** Facts about this machine, by names that people read. */
export interface MachineReport {
  /** The version of dino8. */
  readonly dino8: string;
  /** The version of Node.js. */
  readonly 'Node.js': string;
  /** The version of ONNX Runtime, or why it does not load. */
  readonly 'ONNX Runtime': string;
  /** The operating system and the architecture of the processor. */
  readonly platform: string;
  /** The name of the processor. */
  readonly CPU: string;
  /** The number of processors that this process may use. */
  readonly cores: number;
  /** The memory of the machine, with its unit. */
  readonly memory: string;
  /** The features of the processor that matter to quantized models. */
  readonly 'CPU features': readonly string[];
  /** Whether the kernels are in use, and if not, why. */
  readonly kernels: string;
  /** Whether the engine that runs quantized models in pages was built, and if not, why. */
  readonly 'engine for pages': string;
  /** For each execution provider whether it works, and the list of those that ONNX Runtime was built with. */
  readonly 'execution providers': Readonly<Record<string, string>>;
}

/**
 * Finds out the versions, the CPU features, the kernels and the execution providers of this machine.
 *
 * @example
 * console.log((await examineMachine()).kernels);
 */
export async function examineMachine(): Promise<MachineReport> {
  // Asked for here, so that a library that does not work is a line of the report and no warning.
  const library = kernelProblem() === undefined ? kernelLibrary() : undefined;
  const tried = PROVIDERS.map(async (name) => [name, await tryProvider(name)] as const);
  const providers = Object.fromEntries(await Promise.all(tried));
  const features = cpuFeatures();
  return {
    dino8: packageVersion(),
    'Node.js': process.version,
    'ONNX Runtime': runtimeVersion(),
    platform: `${process.platform} ${process.arch}`,
    CPU: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: `${(totalmem() / 1e6).toFixed(1)} MB`,
    'CPU features': features,
    kernels: `${library === undefined ? missingKernels() : await tryKernels(library)}${overflowNote(features, library)}`,
    'engine for pages': await engineReport(),
    'execution providers': { ...providers, ...builtInProviders() },
  };
}

/** The execution providers that ONNX Runtime was built with, if it loads. */
function builtInProviders(): Record<string, string> {
  try {
    return { 'built in': availableProviders().join(', ') };
  } catch {
    return {};
  }
}

/** Why there is no kernel library. The text has the compiler's message if the build failed. */
function missingKernels(): string {
  const effect = 'models run by the standard bodies of their operators, which is slower and gives the same results';
  if (process.env.DINO8_NO_KERNELS) return `switched off by DINO8_NO_KERNELS: ${effect}`;
  const problem = kernelProblem();
  if (problem !== undefined) return `not in use: ${problem}; run \`dino8 setup\` to build them again: ${effect}`;
  const error = kernelBuildError();
  if (error === undefined) return `not built; run \`dino8 setup\` to build them: ${effect}`;
  return `not built: ${effect}. The build said:\n${error}`;
}

/** Loads the library as a session does: a file that is there is not yet one that works. */
async function tryKernels(library: string): Promise<string> {
  try {
    await using _ = await Session.create(smallestModel(), { customOperators: [library] }, 'the kernel library');
    const path = `in use (${kernelCpuPath(library)}; this machine has ${kernelCpuPaths(library).join(', ')})`;
    if (hasIntegerProducts(library)) return path;
    return `${path}\nlinear layers and attention in integers run by ONNX Runtime's operators, which are faster on this processor`;
  } catch (error) {
    return `not in use: ${messageOf(error)}`;
  }
}

/** A line for processors on which ONNX Runtime adds two products of bytes in 16 bits, which can be too few. */
function overflowNote(features: readonly string[], library: string | undefined): string {
  const hasDotProducts = features.some((feature) => feature.endsWith('vnni'));
  if (!features.includes('avx2') || hasDotProducts) return '';
  return library === undefined
    ? '\nproducts of integers can overflow in ONNX Runtime on this processor, so that results differ; build the kernels, which are exact'
    : '\nproducts of two activations in integers, as the recipe full has them, can overflow in ONNX Runtime on this processor; use fast, mixed or static';
}

function cpuFeatures(): string[] {
  try {
    const line = readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:\s*(.*)$/m)?.[1] ?? '';
    const flags = new Set(line.split(' '));
    return FEATURES.filter((feature) => flags.has(feature));
  } catch {
    return ['unknown on this platform'];
  }
}

function smallestModel(): Uint8Array {
  const b = new GraphBuilder('smallest');
  b.output('y', b.add(b.input('x', DataType.FLOAT, ['n']), 1));
  return modelBytes(b.finish());
}
