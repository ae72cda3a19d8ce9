// Measures the published size (Swin-T, 800x1333, 189 tokens, 2 threads) beside the tools that users have today, and what the
// size of the image, the number of threads and the size of a batch change. Each contender runs in processes of its own, in turns.
//
//   PYTHON=…/bin/python npm run bench:full -- [--only peers,sizes,threads,batch] [--fresh]
//
// PYTHON has torch, transformers, onnx, onnxruntime and safetensors, and openvino and nncf for their rows. ROUNDS (3) is the
// number of processes of a contender, RUNS (3) that of timed runs in each. Models and measurements are kept, so that a
// benchmark that was interrupted goes on where it was; measurements beside an earlier build of dino8 are made again, and --fresh
// measures everything again. The checkpoint has random weights of the published shape: speed and memory do not depend on them.
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  at,
  build,
  makeExport,
  makeOpenvino,
  makeOwn,
  OPENVINO_RECIPES,
  openvinoModel,
  peer,
  runForJson,
} from './full-models.mjs';
import { openJournal } from './journal.mjs';
import { quantile, ratioOf } from './statistics.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const PARTS = ['peers', 'sizes', 'threads', 'batch'];
const SIZES = [
  { folder: '480x640', height: 480, width: 640 },
  { folder: '320x320', height: 320, width: 320 },
];
const BATCH = 4;
const python = process.env.PYTHON;
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const RUNS = Number(process.env.RUNS ?? 3);
const THREADS = 2;
const { values: options } = parseArgs({ options: { only: { type: 'string' }, fresh: { type: 'boolean' } } });
const wanted = options.only?.split(',') ?? PARTS;
const unknown = wanted.find((part) => !PARTS.includes(part));
if (unknown !== undefined) {
  console.error(`--only ${unknown}: the parts of this benchmark are ${PARTS.join(', ')}.`);
  process.exit(2);
}
if (!python || !existsSync(python)) {
  console.log('Left out: set PYTHON to a Python that has torch, transformers, onnx, onnxruntime and safetensors.');
  process.exit(0);
}

mkdirSync(at('.'), { recursive: true });
if (options.fresh) rmSync(at('measurements.jsonl'), { force: true });
const published = makeExport(python);
const withOpenvino = wanted.includes('peers') ? makeOpenvino(python) : undefined;
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
  batch: {
    'dino8 INT8 (fast), batch 1': ours('int8.onnx'),
    [`dino8 INT8 (fast), batch ${BATCH}`]: ours('int8.onnx', { batch: BATCH }),
  },
};

/** Measures the contenders of a part in turns. Returns for each the measurements of its rounds. */
function measure(part) {
  const contenders = Object.entries(parts[part]);
  const results = Object.fromEntries(
    contenders.map(([name, { model }]) => [name, { bytes: statSync(model).size, rounds: [] }]),
  );
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, { command, model }] of contenders) {
      // A ratio is of one run: those of other tools are measured again beside each build of dino8.
      const key = [part, name, round, RUNS, build, Math.round(statSync(model).mtimeMs)].join(' | ');
      if (!journal.get(key)) {
        const [program, ...args] = command;
        journal.add(key, runForJson(program, args.map(String)));
        process.stderr.write(
          `round ${round + 1}/${ROUNDS} ${name}: ${quantile(journal.get(key).run_s, 0.5).toFixed(3)} s\n`,
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

console.log(
  `${cpus()[0].model.trim()}, ${THREADS} threads, ${ROUNDS} processes of ${RUNS} runs each, dino8 build ${build}`,
);
for (const part of wanted)
  console.table(
    Object.fromEntries(
      Object.entries(figures)
        .filter(([, figure]) => figure.part === part)
        .map(([name, { seconds, peaks, loads, bytes, precision }]) => {
          const all = seconds.flat();
          return [
            name,
            {
              'median s': quantile(all, 0.5).toFixed(3),
              range: `${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)}`,
              'peak MB': quantile(peaks, 0.5),
              'load s': quantile(loads, 0.5).toFixed(2),
              'file MB': (bytes / 1e6).toFixed(1),
              ...(precision && { 'float as': precision }),
            },
          ];
        }),
    ),
  );

/** The ratio of two contenders' medians with the ratios of the single rounds; undefined where one was not measured. */
function ratio(name, other, key = 'seconds', factor = 1) {
  const [a, b] = [figures[name]?.[key], figures[other]?.[key]];
  return a && b ? ratioOf(a, b, factor) : undefined;
}
const [fast, fp32] = ['dino8 INT8 (fast)', 'dino8 FP32'];
const [hf, dynamic] = ['HF export FP32', 'onnxruntime.quantization dynamic'];
const single = (value, digits) => ({ measured: value.toFixed(digits) });
/** What is compared, the aim, and what was measured. */
const aims = [
  ['INT8 / HF FP32 export, time', '≤ 0.17', ratio(fast, hf)],
  ['INT8 / onnxruntime.quantization dynamic, time', '≤ 0.25', ratio(fast, dynamic)],
  ...SIZES.flatMap(({ folder }) => [
    [`… ${folder}`, '≤ 0.30', ratio(`${fast}, ${folder}`, `${dynamic}, ${folder}`)],
    [`INT8 / HF FP32 export, time, ${folder}`, '', ratio(`${fast}, ${folder}`, `${hf}, ${folder}`)],
    [
      `INT8 / HF FP32 export, peak memory, ${folder}`,
      folder === '480x640' ? '≤ 0.15' : '≤ 0.25',
      ratio(`${fast}, ${folder}`, `${hf}, ${folder}`, 'peaks'),
    ],
  ]),
  ['INT8 / HF FP32 export, peak memory', '≤ 0.10', ratio(fast, hf, 'peaks')],
  ['1 → 2 threads, INT8, gain', '≥ 1.8', ratio(`${fast}, 1 thread`, `${fast}, 2 threads`)],
  ['1 → 2 threads, FP32, gain', '', ratio(`${fp32}, 1 thread`, `${fp32}, 2 threads`)],
  [
    `batch of ${BATCH} with one prompt, INT8, gain for each image`,
    '> 1',
    ratio(`${fast}, batch 1`, `${fast}, batch ${BATCH}`, 'seconds', BATCH),
  ],
  ['loading, INT8, seconds', '≤ 0.7', figures[fast] && single(quantile(figures[fast].loads, 0.5), 2)],
  ['INT8 / OpenVINO INT8, time', '≤ 0.9', ratio(fast, 'OpenVINO INT8 (NNCF), as by default')],
  ['INT8 / OpenVINO INT8 with the rest in float32, time', '', ratio(fast, 'OpenVINO INT8 (NNCF), rest in float32')],
  ...['as by default', 'rest in float32'].flatMap((floats) => [
    ...OPENVINO_RECIPES.map((recipe) => [
      `dino8's INT8 file (${recipe}) / NNCF's, both in OpenVINO, ${floats}, time`,
      '',
      ratio(`dino8 INT8 (${recipe}) in OpenVINO, ${floats}`, `OpenVINO INT8 (NNCF), ${floats}`),
    ]),
    [`INT8 / the same in OpenVINO, ${floats}, time`, '', ratio(fast, `dino8 INT8 (fast) in OpenVINO, ${floats}`)],
  ]),
  ['FP32 / OpenVINO FP32 in float32, time', '', ratio(fp32, 'OpenVINO FP32, in float32')],
  ['INT8 / OpenVINO INT8, peak memory', '', ratio(fast, 'OpenVINO INT8 (NNCF), as by default', 'peaks')],
  ['FP32 / HF FP32 export, time', '≤ 0.70', ratio(fp32, hf)],
  ['INT8 / dino8 FP32, time', '', ratio(fast, fp32)],
  ['INT8 (dynamic) / HF FP32 export, time', '', ratio('dino8 INT8 (dynamic)', hf)],
  ['INT8 model file / FP32', '≤ 0.27', figures[fast] && single(figures[fast].bytes / figures[hf].bytes, 3)],
  [
    'quantizing, dino8 / onnxruntime.quantization, time',
    '≤ 0.30',
    published && single(own.quantized.seconds / published.seconds, 3),
  ],
  ['converting, seconds', '< 20', single(own.converted.seconds, 1)],
  [
    'converting, peak memory / checkpoint',
    '< 2.5',
    single(own.converted.peakBytes / statSync(at('hf/model.safetensors')).size, 2),
  ],
  [
    'calibrating on 3 images and quantizing, peak memory / running the model',
    '≤ 1.50',
    figures[fp32] && single(own.calibrated.peakBytes / 2 ** 20 / quantile(figures[fp32].peaks, 0.5), 2),
  ],
  ['largest difference of logits to HF', '≤ 2e-3', { measured: own.agreement.logits.toExponential(1) }],
  ['largest difference of boxes to HF', '≤ 1e-4', { measured: own.agreement.boxes.toExponential(1) }],
  ['queries of 900 whose equal proposals changed places', '', { measured: String(own.agreement.moved) }],
].filter(([, , measured]) => measured);
console.table(
  Object.fromEntries(
    aims.map(([name, aim, { measured, rounds = '' }]) => [
      name,
      { measured, 'single rounds': rounds, 'to reach': aim },
    ]),
  ),
);
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(
  join(here, 'results', 'full.json'),
  JSON.stringify({ build, figures, aims, openvino: withOpenvino, own }, undefined, 1),
);
