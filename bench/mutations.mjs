// Mutates files of every kind that dino8 reads, opens each as a user's program does, and runs the models among them. What is
// found: an exception that is not one of dino8's, a message that repeats a text of JavaScript, has a hidden character or is no
// sentence, and a process that dies, does not end or takes too much memory. The wanted number of each is none. Build first.
//   node bench/mutations.mjs --cases 1000000                      as many cases, however long they take
//   node bench/mutations.mjs --minutes 10 --kind 'float model'    one kind, or several with commas between them; --seed S
//   node bench/mutations.mjs --seed S --from N --cases 1 --kind K a finding again, by its seed, number and kind
// The mutated file of each finding is kept in the folder that is printed (--findings FOLDER names another).
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { caseOf, kindOf } from './mutations/cases.mjs';
import { KINDS } from './mutations/kinds.mjs';
import { STATE } from './mutations/state.mjs';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    minutes: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    kind: { type: 'string' },
    findings: { type: 'string' },
  },
});
for (const name of ['cases', 'minutes', 'seed', 'from'])
  if (!/^\d{1,10}(\.\d+)?$/.test(values[name])) refuse(`--${name} takes a number, not ${values[name]}.`);
const kinds = values.kind?.split(',') ?? Object.keys(KINDS);
for (const kind of kinds)
  if (!Object.hasOwn(KINDS, kind)) refuse(`There is no kind ${kind}; there are: ${Object.keys(KINDS).join(', ')}.`);

function refuse(sentence) {
  console.error(sentence);
  process.exit(2);
}

/** The seconds of processor time after which a case does not end: the slowest takes one. */
const LONGEST = 60;
/** The same in seconds of a clock, since a process can also wait without an end. A busy machine is many times slower. */
const LONGEST_WAIT = 900;
/** The memory that reading a file may take: the largest picture has 805 MB. */
const MOST_MEMORY = 1.6e9;
/** The private memory that a process may have in kilobytes, so that a model that asks for more is refused by the system. */
const SYSTEM_LIMIT = 3_500_000;
/** The cases after which a process is replaced, and its memory at which it is replaced before, since native caches grow. */
const CASES_OF_A_PROCESS = 5000;
const REPLACED_AT = 700e6;
/** How often a fault that was found before, but for its numbers and names, is printed. */
const MOST_ALIKE = 3;

const [cases, seed, from] = [Number(values.cases), Number(values.seed), Number(values.from)];
const end = performance.now() + Number(values.minutes) * 60_000;
const prepared = mkdtempSync(join(tmpdir(), 'dino8-mutations-'));
const worker = fileURLToPath(new URL('mutations/worker.mjs', import.meta.url));

/** Starts a process of worker.mjs. A shell limits its memory where there is one. */
function start(args, env = {}) {
  const node = [process.execPath, '--max-old-space-size=1024', worker, prepared, ...args];
  const isLimited = process.platform !== 'win32';
  const [command, ...rest] = isLimited ? ['/bin/sh', '-c', `ulimit -d ${SYSTEM_LIMIT}; exec "$0" "$@"`, ...node] : node;
  const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: { ...process.env, ...env } });
  child.said = '';
  child.stderr.on('data', (piece) => {
    child.said = `${child.said}${piece}`.slice(-4000);
  });
  return child;
}

/**
 * Runs the cases from `first` up to `last` in a process, as far as it comes. Returns what became of each, in order (a STATE),
 * the faults by the number of the case, and `end`: the fault by which the process ended within its last case, if it did.
 */
async function runCases(first, last, env) {
  const record = join(prepared, 'record');
  writeFileSync(record, '');
  const child = start([record], env);
  const faults = new Map();
  running = { first, record, child, faults };
  child.on('message', ({ number, fault }) => faults.set(number, fault));
  child.send({ kinds, seed, first, last, most: MOST_MEMORY, replacedAt: REPLACED_AT }, () => undefined);
  const end = await endOf(child, record);
  const states = [...readFileSync(record)];
  rmSync(record);
  return { states, faults, end };
}

/** The process that opens files, for an end by a signal. */
let running;

/** Waits for the end of a process. Returns what was wrong with it; undefined if it ended by itself between two cases. */
function endOf(child, record) {
  return new Promise((resolve) => {
    let known = { length: -1, processor: 0, time: 0 };
    let fault;
    const stop = (reason) => {
      fault ??= reason;
      child.kill('SIGKILL');
    };
    const watch = setInterval(() => {
      const { size: length } = statSync(record);
      const processor = processorTime(child.pid);
      if (length !== known.length) known = { length, processor, time: performance.now() };
      const memory = residentMemory(child.pid);
      const seconds = processor - known.processor;
      if (memory > 2 * MOST_MEMORY) stop(`${(memory / 1e6).toFixed(0)} MB of memory`);
      else if (seconds > LONGEST || performance.now() - known.time > LONGEST_WAIT * 1000)
        stop(`no end within ${seconds.toFixed(0)} seconds of processor time`);
    }, 500);
    // `close` comes after the last message and the last text.
    child.on('close', (code, signal) => {
      clearInterval(watch);
      const died = `the process died (${signal ?? `exit code ${code}`}): ${child.said.trim().slice(-600)}`;
      resolve(code === 0 ? undefined : (fault ?? died));
    });
  });
}

/** The fields of a process after its name in the table of Linux; zeros elsewhere. */
function processTable(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ').map(Number);
  } catch {
    return new Array(50).fill(0);
  }
}
const PAGE = 4096;
const residentMemory = (pid) => processTable(pid)[21] * PAGE;
/** The seconds of processor time that a process has taken. */
const processorTime = (pid) => (processTable(pid)[11] + processTable(pid)[12]) / 100;

const counts = new Map(
  kinds.map((kind) => [kind, { cases: 0, read: 0, refused: 0, 'ended in ONNX Runtime': 0, findings: 0 }]),
);
const alike = new Map();
let findings = values.findings;

function report(kind, number, fault) {
  counts.get(kind).findings++;
  const pattern = `${kind}: ${fault.replace(/"[^"]*"|\d+|'[^']*'/g, '…').slice(0, 160)}`;
  const times = (alike.get(pattern) ?? 0) + 1;
  alike.set(pattern, times);
  if (times > MOST_ALIKE) return;
  findings ??= mkdtempSync(join(tmpdir(), 'dino8-findings-'));
  mkdirSync(findings, { recursive: true });
  const file = join(findings, `${kind.replace(/\W+/g, '-')}-${seed}-${number}`);
  writeFileSync(file, caseOf(kind, seed, number, prepared).bytes);
  console.log(`${kind}, case ${number} (${file}):\n  ${fault}`);
}

/** Whether a case ends a process without dino8's kernels too: then ONNX Runtime itself does not bear the model. */
async function diesWithoutKernels(number) {
  const { end } = await runCases(number, number + 1, { DINO8_NO_KERNELS: '1' });
  return end !== undefined;
}

/** Counts what became of cases, from `first` on. `death` is the fault by which the process ended within the last one. */
async function count(first, states, faults, death) {
  for (const [index, state] of states.entries()) {
    const number = first + index;
    const kind = kindOf(kinds, seed, number);
    const figures = counts.get(kind);
    const isLast = index === states.length - 1;
    const fault = faults.get(number) ?? (isLast ? death : undefined);
    figures.cases++;
    // The process ended within its last case if this one is not over.
    const isDeadInRuntime = state === STATE.isInRuntime && (await diesWithoutKernels(number));
    if (state === STATE.tooLarge || isDeadInRuntime) figures['ended in ONNX Runtime']++;
    else {
      figures[state === STATE.read ? 'read' : 'refused']++;
      if (fault !== undefined) report(kind, number, fault);
    }
  }
}

function printTable() {
  console.table(Object.fromEntries([...counts].filter(([, { cases: done }]) => done > 0)));
}

console.log(`Mutating files with the seed ${seed}, from case ${from}.`);
const preparing = start([]);
await new Promise((done) => preparing.on('exit', done));
if (!existsSync(join(prepared, 'operators'))) refuse(`The valid files were not made: ${preparing.said}`);
let done = 0;
const total = () => [...counts.values()].reduce((sum, each) => sum + each.findings, 0);
function printResult() {
  printTable();
  console.log(`${done} cases, ${total()} findings of ${alike.size} patterns`);
  for (const [pattern, times] of alike) console.log(`  ${times} × ${pattern}`);
  rmSync(prepared, { recursive: true, force: true });
}
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
])
  process.on(signal, async () => {
    running?.child.kill('SIGKILL');
    if (running && existsSync(running.record)) {
      // The last case is not over.
      const states = [...readFileSync(running.record)].slice(0, -1);
      await count(running.first, states, running.faults);
      done += states.length;
    }
    printResult();
    process.exit(code);
  });

let printed = performance.now();
while (done < cases && performance.now() < end) {
  const first = from + done;
  const { states, faults, end: death } = await runCases(first, from + Math.min(cases, done + CASES_OF_A_PROCESS));
  if (states.length === 0) refuse(`The process that opens the files does not start: ${death}`);
  await count(first, states, faults, death);
  done += states.length;
  if (performance.now() - printed < 300_000) continue;
  printed = performance.now();
  console.log(`${done} cases, ${total()} findings`);
}
printResult();
process.exitCode = total() === 0 ? 0 : 1;
