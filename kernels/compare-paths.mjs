// Compares the kernels of all instruction sets with the scalar ones: those of this machine, built with AddressSanitizer
// and UndefinedBehaviorSanitizer, those of 64-bit ARM processors, if there are a cross-compiler and qemu, and those of
// WebAssembly, if there is a compiler for it.
//   node kernels/compare-paths.mjs [cases of each kernel]
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileAll } from './compile.mjs';
import { findEngineCompiler, TARGET, variants } from './engine.mjs';
import { findCompiler, pathSources } from './library.mjs';

const cases = process.argv[2] ?? '60';
const folderOfProgram = fileURLToPath(new URL('compare', import.meta.url));
const program = readdirSync(folderOfProgram)
  .filter((name) => name.endsWith('.cpp'))
  .map((name) => ({ path: join(folderOfProgram, name), flags: [] }));
const ARM_COMPILER = 'aarch64-linux-gnu-g++';
const EMULATOR = 'qemu-aarch64';
const exists = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** Builds the kernels without ONNX Runtime's operators, and the program that compares them; runs it. */
async function compare(label, { compiler, architecture, flags, emulator = [] }) {
  const folder = mkdtempSync(join(tmpdir(), 'dino8-kernels-'));
  try {
    const common = ['-std=c++17', '-ffp-contract=fast', '-Wall', '-Wextra', '-Werror', ...flags];
    const files = [...pathSources(compiler, architecture), ...program];
    const objects = await compileAll(compiler, files, { folder, flags: common });
    const executable = join(folder, 'compare');
    execFileSync(compiler, [...flags, ...objects, '-o', executable], { stdio: 'inherit' });
    const [command, ...args] = [...emulator, executable, cases];
    process.stdout.write(`${label}: ${execFileSync(command, args, { encoding: 'utf8' })}`);
  } catch (error) {
    process.stdout.write(`${label}: ${error.stdout ?? ''}${error.stderr ?? error.message}\n`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const compiler = findCompiler();
const sanitizers = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
if (compiler === undefined) console.log('No C++ compiler was found, so that no kernels were compared.');
else await compare('this machine', { compiler, architecture: process.arch, flags: sanitizers });
if (!exists(ARM_COMPILER) || !exists(EMULATOR))
  console.log(`64-bit ARM: not compared, since ${ARM_COMPILER} or ${EMULATOR} is not installed.`);
else
  await compare('64-bit ARM, emulated', {
    compiler: ARM_COMPILER,
    architecture: 'arm64',
    flags: ['-O2', '-static'],
    emulator: [EMULATOR, '-cpu', 'max'],
  });
const wasmCompiler = findEngineCompiler();
if (wasmCompiler === undefined) console.log('WebAssembly: not compared, since no compiler for it is installed.');
else
  for (const variant of variants)
    await compare(`WebAssembly, ${variant.flags.join(' ')}`, {
      compiler: wasmCompiler,
      architecture: 'wasm',
      flags: [
        TARGET,
        '-O2',
        '-fno-exceptions',
        '-Wno-unused-command-line-argument',
        '-Wl,-z,stack-size=1048576',
        ...variant.flags,
      ],
      emulator: [process.execPath, '--no-warnings', fileURLToPath(new URL('compare/run-wasm.mjs', import.meta.url))],
    });
