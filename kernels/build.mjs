// Builds the kernel library with the machine's C++ compiler; with `--if-needed` only if there is none of the current
// sources. npm runs this when the package is installed and scripts are allowed, and so does `dino8 setup`. Without a
// compiler, or if the compiler fails, dino8 runs its operators by their standard ONNX bodies, which is slower and gives
// the same results; `dino8 doctor` then shows why. Set DINO8_WERROR to treat warnings as errors, as CI does.
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { compileAll } from './compile.mjs';
import {
  buildFolder,
  compilers,
  errorFile,
  findCompiler,
  isBuilt,
  libraryFile,
  recordFile,
  recordOf,
  sources,
} from './library.mjs';

const run = promisify(execFile);

const FLAGS = [
  '-std=c++17',
  '-O3',
  // Loops begin at cache lines. For the loops of products this is worth 0.8 % of the time of a model (measured).
  '-falign-loops=64',
  '-fPIC',
  '-fvisibility=hidden',
  '-ffp-contract=fast',
  '-Wall',
  '-Wextra',
  ...(process.env.DINO8_WERROR ? ['-Werror'] : []),
];

/** Compiles all sources and links them to `library`. */
async function build(compiler, library) {
  const temporary = join(buildFolder, `tmp-${process.pid}`);
  try {
    const objects = await compileAll(compiler, sources(compiler), { folder: temporary, flags: FLAGS });
    const linked = join(temporary, 'library');
    await run(compiler, ['-shared', ...objects, '-o', linked]);
    // The library is renamed into place, so that no process ever sees a part of it. It counts once its record is there.
    const record = join(temporary, 'record');
    writeFileSync(record, JSON.stringify(recordOf(linked)));
    renameSync(linked, library);
    renameSync(record, recordFile(library));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Removes every other library of this platform, so that an old one cannot be taken for the new one. */
function removeOthers(library) {
  const own = `libdino8_kernels-${process.platform}-${process.arch}-`;
  for (const name of readdirSync(buildFolder))
    if (
      (name.startsWith(own) || name.startsWith('libdino8_kernels.')) &&
      !(library && name.startsWith(basename(library)))
    )
      rmSync(join(buildFolder, name), { force: true });
}

/** Keeps `message` for `dino8 doctor`, removes the libraries of earlier sources, and prints the first error. */
function fail(message) {
  removeOthers(undefined);
  writeFileSync(errorFile, `${message.trim()}\n`);
  const lines = message.trim().split('\n');
  const first = lines.find((line) => line.includes('error')) ?? lines[0];
  console.log(`dino8: the kernels were not built (${first}); models run without them.`);
}

if (process.argv.includes('--if-needed') && isBuilt()) process.exit();
mkdirSync(buildFolder, { recursive: true });
const compiler = findCompiler();
if (compiler === undefined) fail(`no C++ compiler was found; ${compilers.join(', ')} were tried`);
else {
  const library = libraryFile();
  try {
    await build(compiler, library);
    removeOthers(library);
    rmSync(errorFile, { force: true });
    console.log(`dino8: the kernels were built with ${compiler}.`);
  } catch (error) {
    fail(String(error.stderr || error.message));
  }
}
