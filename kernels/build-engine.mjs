// Builds the engine for WebAssembly, which runs quantized models in a page, with a clang++ that has the C++ library for
// it (Debian: clang, lld, libc++-dev-wasm32, libclang-rt-dev-wasm32, wasi-libc); with `--if-needed` only if there is none
// of the current sources. The published package brings the engine along. Without it, `dino8 export --target web` says what
// is missing. Set DINO8_WERROR to treat warnings as errors, as CI does.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compileAll } from './compile.mjs';
import {
  engineCompilers,
  engineErrorFile,
  engineFile,
  engineRecordFile,
  engineRecordOf,
  engineSources,
  findEngineCompiler,
  isEngineBuilt,
  sourceHash,
  TARGET,
  variants,
} from './engine.mjs';
import { buildFolder } from './library.mjs';

const run = promisify(execFile);

const FLAGS = [
  TARGET,
  '-std=c++17',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-math-errno',
  '-ffp-contract=fast',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  ...(process.env.DINO8_WERROR ? ['-Werror'] : []),
];

/** The computations are made for speed, and all else for size: a page downloads the module. */
const optimization = (source) => (/[\\/](paths|standard)[\\/]/.test(source) ? '-O2' : '-Os');

const LINK_FLAGS = [
  TARGET,
  '-nostartfiles',
  '-Wl,--no-entry',
  '-Wl,--gc-sections',
  '-Wl,--strip-all',
  // A stack that is too deep ends the program, where it would otherwise write over data. Deformable attention needs 50 kB.
  '-Wl,--stack-first,-z,stack-size=1048576',
  // The C library is compiled without atomic instructions, so that one thread at a time is in its allocator; see engine/wasm_runtime.cpp.
  '-Wl,--no-check-features',
  '-Wl,--wrap=malloc,--wrap=aligned_alloc,--wrap=free',
  // JavaScript makes the memory, so that it can hand it to threads, whose stacks it chooses.
  '-Wl,--import-memory,--shared-memory,--max-memory=4294967296',
  '-Wl,--export=__stack_pointer',
];

/** The imports of a module: JavaScript makes its memory. */
const GIVEN = ['memory'];

/** The names of what a module needs, beside what it is given. Node.js 20 knows no relaxed instructions, which add no imports. */
function importsOf(path) {
  const bytes = readFileSync(path);
  if (!WebAssembly.validate(bytes)) return [];
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
  return imports.map(({ name }) => name).filter((name) => !GIVEN.includes(name));
}

/** Makes the modules in a folder. */
async function build(compiler, temporary) {
  const files = engineSources().map((path) => ({ path, flags: [optimization(path)] }));
  for (const variant of variants) {
    const objects = await compileAll(compiler, files, {
      folder: join(temporary, `objects-${variant.file}`),
      flags: [...FLAGS, ...variant.flags],
    });
    const linked = join(temporary, variant.file);
    await run(compiler, [...LINK_FLAGS, ...variant.flags, ...objects, '-o', linked]);
    const imports = importsOf(linked);
    if (imports.length > 0)
      throw new Error(`error: ${variant.file} imports ${imports.join(', ')}, which a page does not have`);
  }
}

/** Keeps `message`, removes the modules of earlier sources, and prints the first error. */
function fail(message) {
  for (const path of [engineRecordFile, ...variants.map(engineFile)]) rmSync(path, { force: true });
  writeFileSync(engineErrorFile, `${message.trim()}\n`);
  const lines = message.trim().split('\n');
  const first = lines.find((line) => line.includes('error')) ?? lines[0];
  console.log(
    `dino8: the engine for WebAssembly was not built (${first}); pages run quantized models by onnxruntime-web then, which takes longer.`,
  );
}

if (process.argv.includes('--if-needed') && isEngineBuilt()) process.exit();
mkdirSync(buildFolder, { recursive: true });
const compiler = findEngineCompiler();
if (compiler === undefined)
  fail(`no C++ compiler with the C++ library for WebAssembly was found; ${engineCompilers.join(', ')} were tried`);
else {
  const temporary = join(buildFolder, `tmp-engine-${process.pid}`);
  try {
    const hash = sourceHash();
    await build(compiler, temporary);
    // The modules count once their record is there.
    rmSync(engineRecordFile, { force: true });
    for (const variant of variants) renameSync(join(temporary, variant.file), engineFile(variant));
    writeFileSync(engineRecordFile, JSON.stringify(engineRecordOf(variants.map(engineFile), hash)));
    rmSync(engineErrorFile, { force: true });
    console.log(`dino8: the engine for WebAssembly was built with ${compiler}.`);
  } catch (error) {
    fail(String(error.stderr || error.message));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
