// Builds the kernel library with the machine's C++ compiler, at install. Without a compiler, or if it fails, dino8
// works all the same by the function bodies in its models; `dino8 doctor` tells which it is.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, 'build');

const common = [
  '-std=c++17',
  '-O3',
  '-fPIC',
  '-fvisibility=hidden',
  '-ffp-contract=fast',
  '-Wall',
  '-Wextra',
  '-Werror',
];
/** Code that is written once and compiled for each instruction set. */
const VECTOR_PATHS = [
  { path: 'scalar' },
  { path: 'avx2', arch: 'x64', flags: ['-mavx2', '-mfma'] },
  { path: 'avx512', arch: 'x64', flags: ['-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma'] },
  { path: 'neon', arch: 'arm64' },
];
const sources = [
  { file: 'library.cpp' },
  { file: 'deformable_attention_op.cpp' },
  { file: 'deformable_attention_gradient_op.cpp' },
  { file: 'row_gradients_op.cpp' },
  { file: 'fake_quantize_op.cpp' },
  { file: 'observe_op.cpp' },
  ...['deformable_attention', 'observe', 'gradients'].flatMap((name) =>
    VECTOR_PATHS.map(({ path, ...rest }) => ({ file: `${name}_${path}.cpp`, ...rest })),
  ),
];

function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  return candidates.find((candidate) => spawnSync(candidate, ['--version'], { stdio: 'ignore' }).status === 0);
}

function build(compiler) {
  const extension = process.platform === 'darwin' ? 'dylib' : process.platform === 'win32' ? 'dll' : 'so';
  const temporary = join(out, `tmp-${process.pid}`);
  mkdirSync(temporary, { recursive: true });
  try {
    const objects = sources
      .filter(({ arch }) => arch === undefined || arch === process.arch)
      .map(({ file, flags = [] }) => {
        const object = join(temporary, file.replace('.cpp', '.o'));
        execFileSync(compiler, [...common, ...flags, '-c', join(here, file), '-o', object], { stdio: 'pipe' });
        return object;
      });
    const library = join(temporary, 'library');
    execFileSync(compiler, ['-shared', ...objects, '-o', library], { stdio: 'pipe' });
    // Renamed into place, so that a process that has the old one open keeps it whole.
    renameSync(library, join(out, `libdino8_kernels.${extension}`));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

const compiler = findCompiler();
if (!compiler) console.log("dino8: no C++ compiler found; models will run without dino8's own kernels.");
else {
  try {
    build(compiler);
    console.log(`dino8: kernels built with ${compiler}.`);
  } catch (error) {
    const reason = String(error.stderr ?? error.message)
      .trim()
      .split('\n')[0];
    console.log(`dino8: kernels were not built (${reason}); models will run without them.`);
  }
}
