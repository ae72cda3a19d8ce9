// Runs every operator of the library on hostile inputs under AddressSanitizer and UndefinedBehaviorSanitizer, for every
// instruction set of this machine, and then every operator of the standard in the engine for pages. See fuzz/fuzz_operators.cpp
// and fuzz/fuzz_engine.cpp for what is hostile.
//   node kernels/fuzz.mjs                            1,000,000 cases of each of the two, however long they take
//   node kernels/fuzz.mjs --seconds 60               as many cases as fit a minute, a half of it for each, as in CI
//   node kernels/fuzz.mjs --only engine              one of the two: library or engine
//   node kernels/fuzz.mjs --operator Observe         one operator; --cases N, --seed S
//   node kernels/fuzz.mjs --libfuzzer --seconds 600  the same inputs, steered by coverage, for each operator; needs clang++
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileAll } from './compile.mjs';
import { findCompiler, sources } from './library.mjs';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '86400' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    operator: { type: 'string' },
    only: { type: 'string' },
    libfuzzer: { type: 'boolean', default: false },
  },
});
for (const name of ['cases', 'seconds', 'seed'])
  if (!/^\d{1,12}$/.test(values[name])) {
    console.error(`--${name} takes a whole number, not ${values[name]}.`);
    process.exit(2);
  }
if (values.only !== undefined && !['library', 'engine'].includes(values.only)) {
  console.error(`--only takes library or engine, not ${values.only}.`);
  process.exit(2);
}
if (values.libfuzzer && values.only === 'engine') {
  console.error('--libfuzzer is for the library; leave it out with --only engine.');
  process.exit(2);
}
// A name of an operator is one of the library's, unless the engine is asked for.
const programs = values.only
  ? [values.only]
  : values.libfuzzer || values.operator
    ? ['library']
    : ['library', 'engine'];

const env = {
  ...process.env,
  UBSAN_OPTIONS: 'print_stacktrace=1',
  // Memory that is not there is an answer of malloc and not the end of the program.
  ASAN_OPTIONS: 'allocator_may_return_null=1',
};

/** Cases from a generator, for all operators or one, in a share of the seconds. @returns whether there was no fault */
function fuzzByChance(executable) {
  const { cases, seconds, seed, operator } = values;
  const args = [cases, String(Math.ceil(Number(seconds) / programs.length)), seed, ...(operator ? [operator] : [])];
  const { status, signal } = spawnSync(executable, args, { stdio: 'inherit', env });
  if (status !== 0) console.error(`The fuzzing failed (${signal ?? `exit code ${status}`}); the seed was ${seed}.`);
  return status === 0;
}

/** Cases of libFuzzer, one target for each operator, which share cases and seconds. @returns whether there was no fault */
function fuzzByCoverage(executable) {
  const names = execFileSync(executable, { env: { ...env, DINO8_FUZZ_LIST: '1' }, encoding: 'utf8' })
    .trim()
    .split('\n');
  const wanted = values.operator ? [values.operator] : names;
  const share = (total) => Math.max(1, Math.ceil(Number(total) / wanted.length));
  const args = [
    `-max_total_time=${share(values.seconds)}`,
    `-runs=${share(values.cases)}`,
    `-seed=${values.seed}`,
    '-max_len=4096',
    '-print_final_stats=1',
    `-artifact_prefix=${join(tmpdir(), 'dino8-fuzz-')}`,
  ];
  let total = 0;
  for (const name of wanted) {
    const { status, stderr } = spawnSync(executable, args, {
      env: { ...env, DINO8_FUZZ_OPERATOR: name },
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const cases = Number(/number_of_executed_units: (\d+)/.exec(stderr)?.[1] ?? 0);
    const coverage = [...stderr.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? '?';
    total += cases;
    console.log(`  ${name.padEnd(72)} ${String(cases).padStart(8)} cases, ${coverage} places reached`);
    if (status === 0) continue;
    console.error(stderr.slice(-6000));
    return false;
  }
  console.log(`${total} cases of ${wanted.length} operators: no fault`);
  return true;
}
const compiler = values.libfuzzer ? 'clang++' : findCompiler();
if (compiler === undefined || spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.log(`${compiler ?? 'A C++ compiler'} was not found, so that the operators were not fuzzed.`);
  process.exit(values.libfuzzer ? 1 : 0);
}

const FLAGS = ['-std=c++17', '-g', '-O1', '-ffp-contract=fast', '-Wall', '-Wextra', '-Werror'];
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const fuzzer = values.libfuzzer ? ['-fsanitize=fuzzer', '-DDINO8_LIBFUZZER'] : [];
const folder = mkdtempSync(join(tmpdir(), 'dino8-fuzz-'));
const pathOf = (file) => fileURLToPath(new URL(file, import.meta.url));

/** The source files of a program. */
function sourcesOf(program) {
  if (program === 'library') {
    const own = ['fuzz/fuzz_operators.cpp', 'fuzz/stand_in_runtime.cpp'].map((file) => ({
      path: pathOf(file),
      flags: [],
    }));
    return [...sources(compiler), ...own];
  }
  const standard = readdirSync(pathOf('engine/standard'))
    .filter((name) => name.endsWith('.cpp'))
    .map((name) => `engine/standard/${name}`);
  const engine = ['graph', 'operators', 'tensor', 'threads'].map((name) => `engine/${name}.cpp`);
  return [...standard, ...engine, 'fuzz/fuzz_engine.cpp'].map((file) => ({ path: pathOf(file), flags: [] }));
}

/** Compiles a program. @returns its path */
async function buildProgram(program) {
  const flags = [...FLAGS, ...sanitizers, ...fuzzer];
  const objects = await compileAll(compiler, sourcesOf(program), { folder: join(folder, program), flags });
  const executable = join(folder, `fuzz-${program}`);
  execFileSync(compiler, [...sanitizers, ...fuzzer, ...objects, '-o', executable], { stdio: 'inherit' });
  return executable;
}

try {
  process.exitCode = 0;
  for (const program of programs) {
    const executable = await buildProgram(program);
    console.log(`Fuzzing the operators of the ${program} with seed ${values.seed}.`);
    if (!(values.libfuzzer ? fuzzByCoverage(executable) : fuzzByChance(executable))) process.exitCode = 1;
  }
} catch (error) {
  console.error(error.stderr || error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
