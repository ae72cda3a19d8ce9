// Builds bench/kernel_peak.cpp with the kernels of this machine and runs it: the multiply-adds of bytes a second that
// dino8's integer product reaches in the caches, and those that its instruction reaches on registers.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileAll } from '../kernels/compile.mjs';
import { findCompiler, libraryFile, pathSources } from '../kernels/library.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const program = join(here, 'kernel_peak.cpp');
const folder = join(here, '..', '.dino8', 'bench-full');
const FLAGS = ['-std=c++17', '-O3', '-ffp-contract=fast'];

/**
 * Returns `{ path, threads, multiplyAddsPerSecond, onRegisters }` for the instruction set that the kernels use. `onRegisters` is 0
 * where it is not measured.
 */
export async function kernelPeak(threads) {
  const executable = join(folder, `peak-${basename(libraryFile())}`);
  if (!existsSync(executable) || statSync(executable).mtimeMs < statSync(program).mtimeMs) await buildTo(executable);
  return JSON.parse(execFileSync(executable, [String(threads)], { encoding: 'utf8' }));
}

async function buildTo(executable) {
  const compiler = findCompiler();
  if (compiler === undefined)
    throw new Error('No C++ compiler was found, so the peak cannot be measured; install one.');
  const objects = join(folder, `peak-${process.pid}`);
  try {
    const wanted = pathSources(compiler);
    // The path's choice and this program are compiled for the same instruction sets.
    const { flags: macros } = wanted.find(({ path }) => path.endsWith('cpu_path.cpp'));
    const files = [...wanted, { path: program, flags: macros }];
    const linked = await compileAll(compiler, files, { folder: objects, flags: FLAGS });
    execFileSync(compiler, [...linked, '-pthread', '-o', executable], { stdio: 'inherit' });
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}
