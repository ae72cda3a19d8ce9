// Measures the published size (Swin-T, 800x1333, 189 tokens, 2 threads) beside the tools that users have today, and what the
// size of the image, the number of threads and the size of a batch change. Each contender runs in processes of its own, in turns.
//
//   PYTHON=…/bin/python npm run bench:full -- [--only peers,sizes,threads,batch] [--fresh] [--write]
//
// PYTHON has torch, transformers, onnx, onnxruntime and safetensors, and openvino and nncf for their rows. ROUNDS (3, of other sizes 5)
// is the number of processes of a contender, RUNS (3) that of timed runs in each. Models and measurements are kept, so that a
// benchmark that was interrupted goes on where it was; measurements beside an earlier build of dino8 are made again, and --fresh
// measures everything again. The checkpoint has random weights of the published shape: speed and memory do not depend on them.
// --write puts the tables into docs/performance.md and README.md (bench/write-table.mjs); all parts must be measured then.
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  at,
  build,
  makeExport,
  makeOpenvino,
  makeOwn,
  OPENVINO_RECIPES,
  openvinoModel,
  peer,
  run,
  runForJson,
} from './full-models.mjs';
import { BATCH, BATCH_SIZES, costsTable, publishedTable, ratiosTable, SIZES, sizesTable } from './full-tables.mjs';
import { openJournal } from './journal.mjs';
import { quantile } from './statistics.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const PARTS = ['peers', 'sizes', 'threads', 'batch'];
const python = process.env.PYTHON;
/** Small images take so little time that more rounds are measured. */
const ROUNDS = { peers: 3, sizes: 5, threads: 3, batch: 3 };
const roundsOf = (part) => Number(process.env.ROUNDS ?? ROUNDS[part]);
const RUNS = Number(process.env.RUNS ?? 3);
const THREADS = 2;
const { values: options } = readArguments({ only: { type: 'string' }, fresh: { type: 'boolean' } });
const wanted = options.only?.split(',') ?? PARTS;
const unknown = wanted.find((part) => !PARTS.includes(part));
if (unknown !== undefined) misuse(`--only ${unknown}: the parts of this benchmark are ${PARTS.join(', ')}.`);
/** The large table of each processor. */
const PUBLISHED = ['full-epyc', 'full-xeon'];
const tables = openTables([...PUBLISHED, 'full-sizes', 'full-ratios', 'readme-costs'], {
  write: options.write,
  settings: {
    '--only': [wanted.join(','), PARTS.join(',')],
    ROUNDS: [PARTS.map(roundsOf).join(','), Object.values(ROUNDS).join(',')],
    RUNS: [RUNS, 3],
  },
  needs: {
    'PYTHON, a Python that has torch, transformers, onnx, onnxruntime, openvino and nncf': existsSync(python ?? ''),
  },
});
if (!python || !existsSync(python)) {
  console.log('Left out: set PYTHON to a Python that has torch, transformers, onnx, onnxruntime and safetensors.');
  process.exit(0);
}

mkdirSync(at('.'), { recursive: true });
if (options.fresh) rmSync(at('measurements.jsonl'), { force: true });
const published = makeExport(python);
const withOpenvino = wanted.includes('peers') ? makeOpenvino(python) : undefined;
if (options.write && !withOpenvino) misuse('--write: the tables have rows of OpenVINO, which PYTHON has not.');
const own = makeOwn({ forOpenvino: withOpenvino !== undefined });
const journal = openJournal(at('measurements.jsonl'));

/** dino8 in a process of Node.js: model, inputs, runs, threads, batch. */
const ours = (model, { io = 'io.safetensors', threads = THREADS, batch = 1 } = {}) => ({
  model: at(model),
  command: [process.execPath, join(here, 'contender.mjs'), at(model), at(io), RUNS, threads, batch],
});
/** ONNX Runtime in Python. */
const theirs = (model, io = 'io.safetensors') => ({
  model: at(model),
  command: [python, peer('bench_ort.py'), at(model), at(io), RUNS, THREADS],
});
const openvino = (model, precision) => ({
  model: at('openvino', model.replace('.xml', '.bin')),
  command: [python, peer('bench_openvino.py'), at('openvino', model), at('io.safetensors'), RUNS, THREADS, precision],
});
/** dino8's file for OpenVINO by a recipe, in OpenVINO. */
const oursInOpenvino = (recipe, precision) => ({
  model: at(openvinoModel(recipe)),
  command: [
    python,
    peer('bench_openvino.py'),
    at(openvinoModel(recipe)),
    at('io.safetensors'),
    RUNS,
    THREADS,
    precision,
  ],
});
const oursInOpenvinoRows = Object.fromEntries(
  OPENVINO_RECIPES.flatMap((recipe) => [
    [`dino8 INT8 (${recipe}) in OpenVINO, rest in float32`, oursInOpenvino(recipe, 'f32')],
    [`dino8 INT8 (${recipe}) in OpenVINO, as by default`, oursInOpenvino(recipe, 'default')],
  ]),
);

const parts = {
  peers: {
    'HF export FP32': theirs('model.onnx'),
    'onnxruntime.quantization dynamic': theirs('dynamic.onnx'),
    ...(withOpenvino && {
      'OpenVINO FP32, in float32': openvino('fp32.xml', 'f32'),
      'OpenVINO FP32, as by default': openvino('fp32.xml', 'default'),
      'OpenVINO INT8 (NNCF), rest in float32': openvino('int8.xml', 'f32'),
      'OpenVINO INT8 (NNCF), as by default': openvino('int8.xml', 'default'),
      ...oursInOpenvinoRows,
    }),
    'dino8 FP32': ours('fp32.onnx'),
    'dino8 INT8 (fast)': ours('int8.onnx'),
    'dino8 INT8 (dynamic)': ours('dynamic8.onnx'),
    'dino8 INT4 (smallest)': ours('smallest.onnx'),
    'dino8 INT8 (fast), specialised': ours('int8.specialized.onnx'),
    // The same file without dino8: no kernels, Python's ONNX Runtime.
    'dino8 INT8 (fast) in Python': theirs('int8.onnx'),
  },
  sizes: Object.assign(
    {},
    ...(wanted.includes('sizes') ? SIZES : []).map((size) => {
      makeExport(python, size);
      const [io, name] = [join(size.folder, 'io.safetensors'), size.folder];
      return {
        [`HF export FP32, ${name}`]: theirs(join(name, 'model.onnx'), io),
        [`onnxruntime.quantization dynamic, ${name}`]: theirs(join(name, 'dynamic.onnx'), io),
        [`dino8 FP32, ${name}`]: ours('fp32.onnx', { io }),
        [`dino8 INT8 (fast), ${name}`]: ours('int8.onnx', { io }),
      };
    }),
  ),
  threads: {
    'dino8 FP32, 1 thread': ours('fp32.onnx', { threads: 1 }),
    'dino8 FP32, 2 threads': ours('fp32.onnx'),
    'dino8 INT8 (fast), 1 thread': ours('int8.onnx', { threads: 1 }),
    'dino8 INT8 (fast), 2 threads': ours('int8.onnx'),
  },
  batch: Object.fromEntries(
    (wanted.includes('batch') ? BATCH_SIZES : []).flatMap((size) => {
      const small = SIZES.find(({ folder }) => size === `, ${folder}`);
      if (small) makeExport(python, small);
      const io = join(small?.folder ?? '.', 'io.safetensors');
      return [1, BATCH].map((batch) => [`dino8 INT8 (fast), batch ${batch}${size}`, ours('int8.onnx', { io, batch })]);
    }),
  ),
};

/** Measures the contenders of a part in turns. Returns for each the measurements of its rounds. */
function measure(part) {
  const contenders = Object.entries(parts[part]);
  const results = Object.fromEntries(
    contenders.map(([name, { model }]) => [name, { bytes: statSync(model).size, rounds: [] }]),
  );
  for (let round = 0; round < roundsOf(part); round++)
    for (const [name, { command, model }] of contenders) {
      // A ratio is of one run: those of other tools are measured again beside each build of dino8.
      const key = [part, name, round, RUNS, build, Math.round(statSync(model).mtimeMs)].join(' | ');
      if (!journal.get(key)) {
        const [program, ...args] = command;
        journal.add(key, runForJson(program, args.map(String)));
        process.stderr.write(
          `round ${round + 1}/${roundsOf(part)} ${name}: ${quantile(journal.get(key).run_s, 0.5).toFixed(3)} s\n`,
        );
      }
      results[name].rounds.push(journal.get(key));
    }
  return results;
}

/** For each contender, the times of each round, the peaks and the loads. */
const figures = {};
for (const part of PARTS.filter((part) => wanted.includes(part)))
  for (const [name, { bytes, rounds }] of Object.entries(measure(part)))
    figures[name] = {
      part,
      bytes,
      seconds: rounds.map(({ run_s: times }) => times),
      peaks: rounds.map(({ peak_rss_mb: peak }) => peak),
      loads: rounds.map(({ load_s: load }) => load),
      ...(rounds[0].precision && { precision: rounds[0].precision, products: rounds[0].products }),
    };

const rounds = wanted.map((part) => `${part} ${roundsOf(part)}`).join(', ');
console.log(
  `${cpus()[0].model.trim()}, ${THREADS} threads, ${RUNS} runs in each process (${rounds}), dino8 build ${build}`,
);
for (const part of wanted.filter((each) => each === 'threads' || each === 'batch'))
  console.table(
    Object.fromEntries(
      Object.entries(figures)
        .filter(([, figure]) => figure.part === part)
        .map(([name, { seconds, peaks }]) => {
          const all = seconds.flat();
          const range = `${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)}`;
          return [name, { 'median s': quantile(all, 0.5).toFixed(3), range, 'peak MB': quantile(peaks, 0.5) }];
        }),
    ),
  );
const version = run(python, ['-c', 'import onnxruntime; print(onnxruntime.__version__)']).trim();
if (wanted.includes('peers')) {
  tables.table(PUBLISHED, ...publishedTable(figures, version));
  if (withOpenvino) tables.table('readme-costs', ...costsTable(figures));
}
if (wanted.includes('sizes')) tables.table('full-sizes', ...sizesTable(figures));
tables.table('full-ratios', ...ratiosTable(figures, { ...own, peerSeconds: published?.seconds }));
tables.finish();
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(
  join(here, 'results', 'full.json'),
  JSON.stringify({ build, figures, openvino: withOpenvino, own }, undefined, 1),
);
