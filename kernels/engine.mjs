// The source files of the engine for WebAssembly, its compiler and its variants, for build-engine.mjs.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildFolder, version } from './library.mjs';

const here = dirname(fileURLToPath(import.meta.url));

/** The message of the build that failed last; the file does not exist after a build that succeeded. */
export const engineErrorFile = join(buildFolder, 'engine-error.txt');

/** The record of a whole build: the version of dino8, the hash of the sources, and that of each module by its name. */
export const engineRecordFile = join(buildFolder, 'dino8-engine.json');

/** Threads are workers on the same memory. A page that may not have them runs the same module on a memory of its own. */
const THREADS = [
  '-matomics',
  '-mbulk-memory',
  // Static variables of functions are constructed when a model is loaded, before threads have work.
  '-fno-threadsafe-statics',
];

/** The modules, and the compiler's flags for what browsers must have for each. */
export const variants = [
  { file: 'dino8-engine.wasm', flags: ['-msimd128', ...THREADS] },
  { file: 'dino8-engine-relaxed.wasm', flags: ['-msimd128', '-mrelaxed-simd', ...THREADS] },
];

/** The path of a module. */
export const engineFile = ({ file }) => join(buildFolder, file);

/** The files of the kernel library that inference needs. */
const LIBRARY = [
  'add_quantize_op.cpp',
  'cpu_path.cpp',
  'deformable_attention_op.cpp',
  'fusion_attention_op.cpp',
  'group_norm_op.cpp',
  'linear_block_op.cpp',
  'multi_head_attention_op.cpp',
  'patch_embedding_op.cpp',
  'patch_merging_op.cpp',
  'prepared_layer.cpp',
  'projected_deformable_attention_op.cpp',
  'projection_feed_forward_op.cpp',
  'proposal_scores_op.cpp',
  'run_memory.cpp',
  'sine_embedding_op.cpp',
  'window_attention_op.cpp',
  'paths/wasm_dot.cpp',
  'paths/wasm_simd.cpp',
];

const FOLDERS = ['engine', 'engine/standard'];

/** The source files of the engine. */
export function engineSources() {
  const own = FOLDERS.flatMap((folder) =>
    readdirSync(join(here, folder))
      .filter((name) => name.endsWith('.cpp'))
      .sort()
      .map((name) => `${folder}/${name}`),
  );
  return [...own, ...LIBRARY].map((file) => join(here, file));
}

/** The hash of all files that the engine is made from. */
export function sourceHash() {
  const hash = createHash('sha256');
  for (const folder of ['.', 'paths', ...FOLDERS])
    for (const name of readdirSync(join(here, folder)).sort())
      if (/\.(cpp|h)$/.test(name) || (folder === '.' && /^(build-engine|compile|engine|library)\.mjs$/.test(name)))
        hash.update(`${folder}/${name}`).update(readFileSync(join(here, folder, name)));
  return hash.digest('hex');
}

/** The content of the record. @param modules the paths of the modules @param sources the hash of the sources that they were built from */
export function engineRecordOf(modules, sources) {
  const sha256 = Object.fromEntries(
    modules.map((path) => [basename(path), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
  return { version, sources, sha256 };
}

/** True if the modules of the current sources are there as they were built. */
export function isEngineBuilt() {
  const modules = variants.map(engineFile);
  if (![engineRecordFile, ...modules].every((path) => existsSync(path))) return false;
  return readFileSync(engineRecordFile, 'utf8') === JSON.stringify(engineRecordOf(modules, sourceHash()));
}

/** The names of C++ compilers that are tried, in this order; the environment variable DINO8_WASM_CXX replaces the list. */
export const engineCompilers = process.env.DINO8_WASM_CXX
  ? [process.env.DINO8_WASM_CXX]
  : ['clang++-19', 'clang++-20', 'clang++-18', 'clang++'];

/** The flag that makes a compiler compile for WebAssembly. */
export const TARGET = '--target=wasm32-wasi';

/** The first of `engineCompilers` that makes a module of a program that needs the C++ library, or undefined. */
export function findEngineCompiler() {
  const program = '#include <string>\n#include <vector>\nint main() { return std::vector<std::string>(1).size(); }';
  const args = [TARGET, '-std=c++17', '-msimd128', '-fno-exceptions', '-x', 'c++', '-', '-o'];
  const nowhere = process.platform === 'win32' ? 'NUL' : '/dev/null';
  return engineCompilers.find(
    (name) => spawnSync(name, [...args, nowhere], { input: program, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0,
  );
}
