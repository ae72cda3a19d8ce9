// Mutates files of every kind that dino8 reads, opens each as a user's program does, and runs the models among them. What is
// found: an exception that is not one of dino8's, a message that repeats a text of JavaScript, has a hidden character or is no
// sentence, and a process that dies, does not end or takes too much memory. The wanted number of each is none. Build first.
//   node bench/mutations.mjs --cases 1000000                      as many cases, however long they take
//   node bench/mutations.mjs --minutes 10 --kind 'float model'    one kind, or several with commas between them; --seed S
//   node bench/mutations.mjs --seed S --from N --cases 1 --kind K a finding again, by its seed, number and kind
// The mutated file of each finding is kept in the folder that is printed (--findings FOLDER names another).
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { caseOf, kindOf } from './mutations/cases.mjs';
import { KINDS } from './mutations/kinds.mjs';

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
/** The cases after which a process is replaced, since native caches grow. */
const CASES_OF_A_PROCESS = 3000;
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

/** Waits for the end of a case. */
function answerOf(child) {
  return new Promise((resolve) => {
    let isInRuntime = false;
    const settle = (answer) => {
      clearInterval(watch);
      child.off('message', hear).off('exit', die);
      resolve({ isInRuntime, ...answer });
    };
    const hear = (message) => {
      if (message.isInRuntime) isInRuntime = true;
      else settle(message);
    };
    const die = (code, signal) =>
      settle({
        isDead: true,
        fault: `the process died (${signal ?? `exit code ${code}`}): ${child.said.trim().slice(-600)}`,
      });
    const begun = processorTime(child.pid);
    const latest = performance.now() + LONGEST_WAIT * 1000;
    const watch = setInterval(() => {
      const memory = residentMemory(child.pid);
      const seconds = processorTime(child.pid) - begun;
      if (memory > 2 * MOST_MEMORY) settle({ isDead: true, fault: `${(memory / 1e6).toFixed(0)} MB of memory` });
      else if (seconds > LONGEST || performance.now() > latest)
        settle({ isDead: true, fault: `no end within ${seconds.toFixed(0)} seconds of processor time` });
    }, 500);
    child.on('message', hear).on('exit', die);
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
async function diesWithoutKernels(kind, number) {
  const child = start([], { DINO8_NO_KERNELS: '1' });
  await answerOf(child);
  child.send({ kind, seed, number });
  const { isDead } = await answerOf(child);
  child.kill('SIGKILL');
  return isDead === true;
}

function printTable() {
  console.table(Object.fromEntries([...counts].filter(([, { cases: done }]) => done > 0)));
}

console.log(`Mutating files with the seed ${seed}, from case ${from}.`);
const preparing = start(['prepare']);
await new Promise((done) => preparing.on('exit', done));
if (!existsSync(join(prepared, 'operators'))) refuse(`The valid files were not made: ${preparing.said}`);
process.on('SIGINT', () => {
  printTable();
  process.exit(130);
});

let child;
let left = 0;
let done = 0;
let printed = performance.now();
for (; done < cases && performance.now() < end; done++) {
  if (left-- === 0 || !child) {
    child?.kill('SIGKILL');
    child = start([]);
    await answerOf(child);
    left = CASES_OF_A_PROCESS;
  }
  const number = from + done;
  const kind = kindOf(kinds, seed, number);
  child.send({ kind, seed, number }, () => undefined);
  const { outcome = 'refused', fault, memory = 0, isDead, isInRuntime } = await answerOf(child);
  const count = counts.get(kind);
  count.cases++;
  const isTooLarge = memory > MOST_MEMORY;
  if (isDead || isTooLarge) {
    child.kill('SIGKILL');
    child = undefined;
  }
  if (isInRuntime && ((isDead && (await diesWithoutKernels(kind, number))) || isTooLarge))
    count['ended in ONNX Runtime']++;
  else {
    count[outcome]++;
    if (fault !== undefined) report(kind, number, fault);
    else if (isTooLarge) report(kind, number, `${(memory / 1e6).toFixed(0)} MB of memory`);
  }
  if (performance.now() - printed < 300_000) continue;
  printed = performance.now();
  console.log(`${done + 1} cases, ${[...counts.values()].reduce((sum, each) => sum + each.findings, 0)} findings`);
}
child?.kill('SIGKILL');
rmSync(prepared, { recursive: true, force: true });
printTable();
const total = [...counts.values()].reduce((sum, each) => sum + each.findings, 0);
console.log(`${done} cases, ${total} findings of ${alike.size} patterns`);
for (const [pattern, times] of alike) console.log(`  ${times} × ${pattern}`);
process.exitCode = total === 0 ? 0 : 1;
