// Estimates the time of a model with more threads than this machine has, from the tasks of dino8's operators.
//
//   npm run bench:threads -- [MODEL.onnx IO.safetensors] [--threads 2,4,8,16,32]
//
// A library of the kernels that measures each task runs the model on one thread under ONNX Runtime's profiler. Then the tasks
// of each operator are given to so many threads as ONNX Runtime does: each free thread takes the next task. The assumptions are
// printed; memory bandwidth and the clock, which both fall with more cores at work, are not among them.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readSafetensors } from '../dist/models.mjs';
import { Session, tensorOf } from '../dist/runtime.mjs';
import { findCompiler, sources } from '../kernels/library.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const made = (name) => join(here, '..', '.dino8', 'bench-full', name);
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string', default: '2,4,8,16,32' } },
});
const [path = made('int8.onnx'), io = made('io.safetensors')] = positionals;
if (!existsSync(path) || !existsSync(io)) {
  console.error(
    `${existsSync(path) ? io : path} does not exist; run bench:full first, or name a model and its inputs.`,
  );
  process.exit(2);
}

/** Microseconds from which ONNX Runtime splits the work of an operator of its own; it does not for less. */
const WORTH_SPLITTING = 50;
/** Runs to warm up; the last run is the one that counts. */
const WARM_UP = 2;

const folder = mkdtempSync(join(tmpdir(), 'dino8-threads-'));
try {
  report(simulate(await recordRun()));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Builds the kernels so that they measure their tasks. */
function buildRecorder() {
  const compiler = findCompiler();
  if (compiler === undefined) throw new Error('No C++ compiler was found, so tasks cannot be measured; install one.');
  const flags = ['-std=c++17', '-O3', '-fPIC', '-ffp-contract=fast'];
  const recorder = `-DDINO8_TASK_RECORDER="${join(here, 'task_recorder.h')}"`;
  const objects = sources(compiler).map(({ path: source, flags: own }) => {
    const object = join(folder, basename(source).replace('.cpp', '.o'));
    execFileSync(compiler, [...flags, ...own, recorder, '-c', source, '-o', object], { stdio: 'inherit' });
    return object;
  });
  const library = join(folder, 'recorder.so');
  execFileSync(compiler, ['-shared', ...objects, '-o', library], { stdio: 'inherit' });
  return library;
}

/** Runs the model on one thread. Returns the nodes of the last run in microseconds, those of dino8 with their tasks. */
async function recordRun() {
  const library = buildRecorder();
  const file = join(folder, 'tasks.txt');
  process.env.DINO8_TASK_FILE = file;
  const session = await Session.create(path, {
    threads: 1,
    customOperators: [library],
    profilePrefix: join(folder, 'profile'),
  });
  const tensors = await readSafetensors(io);
  const feeds = Object.fromEntries([...session.inputs.keys()].map((name) => [name, tensorOf(tensors.get(name))]));
  for (let run = 0; run <= WARM_UP; run++) (await session.run(feeds)).dispose();
  const events = JSON.parse(readFileSync(session.endProfiling(), 'utf8')).filter(
    ({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'),
  );
  await session.close();
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const lastOf = (list) => list.slice((list.length / (WARM_UP + 1)) * WARM_UP);
  const calls = lastOf(lines).map((line) => {
    const [begin, ...tasks] = line.split(' ').map(Number);
    return { begin, tasks };
  });
  const nodes = lastOf(events).map(({ ts, dur, name, args }) => ({
    name,
    operator: args.op_name,
    ts,
    dur,
    calls: [],
  }));
  return assign(nodes, calls);
}

/**
 * Assigns each call of the recorder to the node in whose time it lies. The clocks of the profiler and of the recorder start at
 * different times: the difference is the one by which most calls lie in a node.
 */
function assign(nodes, calls) {
  const length = (call) => call.tasks.reduce((sum, task) => sum + task, 0);
  const middleOf = (call) => call.begin + length(call) / 2;
  const nodeOf = (call, offset) => {
    let [low, high] = [0, nodes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (nodes[middle].ts <= middleOf(call) - offset) low = middle + 1;
      else high = middle;
    }
    const node = nodes[low - 1];
    return node && middleOf(call) - offset <= node.ts + node.dur ? node : undefined;
  };
  const [first] = calls;
  const candidates = nodes.flatMap(({ ts, dur }) =>
    dur + 1 < length(first)
      ? []
      : [0.05, 0.2, 0.5, 0.8, 0.95].map((part) => first.begin - ts - part * (dur - length(first))),
  );
  const inNodes = (offset) => calls.filter((call) => nodeOf(call, offset)).length;
  const sample = calls.filter((_, at) => at % Math.ceil(calls.length / 40) === 0);
  const inSample = (offset) => sample.filter((call) => nodeOf(call, offset)).length;
  const likely = candidates.toSorted((a, b) => inSample(b) - inSample(a)).slice(0, 30);
  const offset = likely.toSorted((a, b) => inNodes(b) - inNodes(a))[0];
  for (const call of calls) nodeOf(call, offset)?.calls.push(call);
  return { nodes, lost: calls.length - inNodes(offset) };
}

/** The time of tasks on `threads` threads, of which each free one takes the next task. */
function schedule(tasks, threads) {
  const busy = new Array(Math.min(threads, tasks.length)).fill(0);
  for (const task of tasks) {
    const free = busy.indexOf(Math.min(...busy));
    busy[free] += task;
  }
  return Math.max(0, ...busy);
}

function simulate({ nodes, lost }) {
  const rows = ['1', ...options.threads.split(',')].map(Number).map((threads) => {
    let [ours, theirs, ideal] = [0, 0, 0];
    for (const { dur, calls } of nodes) {
      if (calls.length > 0) {
        const parallel = calls.reduce((sum, { tasks }) => sum + tasks.reduce((all, task) => all + task, 0), 0);
        const alone = Math.max(0, dur - parallel);
        ours += alone + calls.reduce((sum, { tasks }) => sum + schedule(tasks, threads), 0);
        ideal += alone + parallel / threads;
      } else theirs += dur < WORTH_SPLITTING ? dur : dur / threads;
    }
    const small = nodes.reduce(
      (sum, { dur, calls }) => sum + (calls.length === 0 && dur < WORTH_SPLITTING ? dur : 0),
      0,
    );
    return { threads, ours, theirs, ideal, small };
  });
  return { nodes, rows, lost };
}

function report({ nodes, rows, lost }) {
  const ms = (microseconds) => (microseconds / 1000).toFixed(1);
  const [one] = rows;
  console.log(
    `${path}. Assumed: a free thread takes the next task of an operator of dino8, as ONNX Runtime does; ONNX Runtime's own` +
      ` operators of ${WORTH_SPLITTING} µs and more split evenly, and shorter ones not at all; operators run one after the` +
      ' other; starting threads, memory bandwidth and a lower clock cost nothing.',
  );
  console.table(
    rows.map(({ threads, ours, theirs, ideal, small }) => ({
      threads,
      ms: ms(ours + theirs),
      'times as fast': ((one.ours + one.theirs) / (ours + theirs)).toFixed(2),
      'dino8’s operators ms': ms(ours),
      'threads at work in them': `${((100 * ideal) / ours).toFixed(0)} %`,
      'others ms': ms(theirs),
      'of which not split': ms(small),
    })),
  );
  const most = rows.at(-1).threads;
  const operators = new Map();
  for (const { operator, dur, calls } of nodes.filter((node) => node.calls.length > 0)) {
    const row = operators.get(operator) ?? { nodes: 0, fewest: Number.POSITIVE_INFINITY, one: 0, alone: 0, most: 0 };
    const tasks = calls.flatMap((call) => call.tasks);
    row.nodes++;
    row.fewest = Math.min(row.fewest, tasks.length);
    row.one += dur;
    const alone = Math.max(0, dur - tasks.reduce((sum, task) => sum + task, 0));
    row.alone += alone;
    row.most += alone + calls.reduce((sum, call) => sum + schedule(call.tasks, most), 0);
    operators.set(operator, row);
  }
  console.table(
    Object.fromEntries(
      [...operators]
        .toSorted(([, a], [, b]) => b.one - a.one)
        .map(([name, row]) => [
          name,
          {
            nodes: row.nodes,
            'fewest tasks': row.fewest,
            'ms, 1 thread': ms(row.one),
            'outside of tasks ms': ms(row.alone),
            [`ms, ${most} threads`]: ms(row.most),
            'times as fast': (row.one / row.most).toFixed(1),
          },
        ]),
    ),
  );
  if (lost > 0) console.log(`${lost} calls of operators lie in no node of the profile and are missing.`);
  mkdirSync(join(here, 'results'), { recursive: true });
}
