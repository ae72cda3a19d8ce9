// The source files of the library, the compiler and the name of the library, for build.mjs and check.mjs.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** The folder of the library, and of `error.txt` where the build failed. */
export const buildFolder = join(here, 'build');

/** The version of dino8 that the library is built for. */
export const { version } = JSON.parse(readFileSync(join(here, '..', 'package.json'), 'utf8'));

/** The message of the build that failed last; the file does not exist after a build that succeeded. */
export const errorFile = join(buildFolder, 'error.txt');

const AVX512 = ['-mavx2', '-mfma', '-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw'];

/**
 * The flags for each instruction set. `find_paths` in cpu_path.cpp must ask the processor for every feature that is
 * switched on here. An instruction set with `macro` is left out if the compiler does not know its flags; cpu_path.cpp is
 * compiled with the macro if it does.
 */
const PATHS = [
  { file: 'paths/scalar.cpp' },
  { file: 'paths/avx2.cpp', arch: 'x64', flags: ['-mavx2', '-mfma'] },
  { file: 'paths/avx512.cpp', arch: 'x64', flags: AVX512 },
  { file: 'paths/avx512_vnni.cpp', arch: 'x64', flags: [...AVX512, '-mavx512vnni'] },
  {
    file: 'paths/avx_vnni.cpp',
    arch: 'x64',
    flags: ['-mavx2', '-mfma', '-mavxvnni'],
    macro: 'DINO8_HAS_AVX_VNNI',
  },
  {
    file: 'paths/amx_int8.cpp',
    arch: 'x64',
    flags: [...AVX512, '-mavx512vnni', '-mamx-tile', '-mamx-int8'],
    macro: 'DINO8_HAS_AMX_INT8',
    // GCC passes the distance between rows as a long, which is no register of an address on Windows.
    except: 'win32',
  },
  { file: 'paths/neon.cpp', arch: 'arm64' },
  { file: 'paths/neon_dot.cpp', arch: 'arm64', flags: ['-march=armv8.2-a+dotprod'] },
  { file: 'paths/neon_i8mm.cpp', arch: 'arm64', flags: ['-march=armv8.2-a+dotprod+i8mm'] },
  // Whether their vectors are relaxed is up to the variant of the engine; see engine.mjs.
  { file: 'paths/wasm_dot.cpp', arch: 'wasm' },
  { file: 'paths/wasm_simd.cpp', arch: 'wasm' },
];

/** True if `compiler` takes `flags`. */
function takesFlags(compiler, flags) {
  const args = [...flags, '-x', 'c++', '-fsyntax-only', '-'];
  return spawnSync(compiler, args, { input: '', stdio: ['pipe', 'ignore', 'ignore'] }).status === 0;
}

/** The source files that `compiler` can compile for an architecture and a platform, as `{ path, flags }`. */
export function sources(compiler, architecture = process.arch, platform = process.platform) {
  const paths = PATHS.filter(
    ({ arch = architecture, except, macro, flags }) =>
      arch === architecture && except !== platform && (!macro || takesFlags(compiler, flags)),
  );
  const macros = paths.flatMap(({ macro }) => (macro ? [`-D${macro}`] : []));
  const common = readdirSync(here)
    .filter((name) => name.endsWith('.cpp'))
    .sort()
    .map((file) => ({ file, flags: file === 'cpu_path.cpp' ? macros : [] }));
  return [...common, ...paths].map(({ file, flags = [] }) => ({ path: join(here, file), flags }));
}

/** The sources that compute: one for each instruction set, and the one that chooses between them. The operators of ONNX Runtime are not among them. */
export function pathSources(compiler, architecture) {
  return sources(compiler, architecture).filter(({ path }) => /cpu_path\.cpp$|paths\//.test(path));
}

/**
 * The path of the library: its name has the platform, the architecture and a hash of all files that it is made from.
 * src/runtime/kernels.ts finds it by the part in front of the hash.
 */
export function libraryFile() {
  const hash = createHash('sha256');
  for (const folder of ['.', 'paths'])
    for (const name of readdirSync(join(here, folder)).sort())
      if (/\.(cpp|h)$|^(build|compile|library)\.mjs$/.test(name))
        hash.update(name).update(readFileSync(join(here, folder, name)));
  const extension = { darwin: 'dylib', win32: 'dll' }[process.platform] ?? 'so';
  const digest = hash.digest('hex').slice(0, 12);
  return join(buildFolder, `libdino8_kernels-${process.platform}-${process.arch}-${digest}.${extension}`);
}

/** The path of the file that says what a whole library is: its version of dino8, and the hash of its bytes. */
export const recordFile = (library) => `${library}.json`;

/** What `recordFile` holds for a library. src/runtime/kernels.ts checks it before the library is loaded. */
export function recordOf(library) {
  return { version, sha256: createHash('sha256').update(readFileSync(library)).digest('hex') };
}

/** True if the library of the current sources is there as it was built. */
export function isBuilt() {
  const library = libraryFile();
  if (!existsSync(library) || !existsSync(recordFile(library))) return false;
  return readFileSync(recordFile(library), 'utf8') === JSON.stringify(recordOf(library));
}

/** The names of C++ compilers that are tried, in this order; the environment variable CXX replaces the list. */
export const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];

/** The first of `compilers` that runs, or undefined. */
export function findCompiler() {
  return compilers.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}
