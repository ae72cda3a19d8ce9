// Measures the AP of INT8 models of the bundled model, all on the same images in one run: the bundled recipes, the observers,
// the techniques, and with PYTHON onnxruntime.quantization on Hugging Face's export. --write puts the tables into docs/accuracy.md and their
// summary into README.md.
//
//   npm run bench:accuracy                     (IMAGES=500; DATASET=… scores on other images)
//   PYTHON=…/bin/python npm run bench:accuracy -- --write
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrapScores, matchDetections, scoreDataset } from '../dist/evaluate.mjs';
import {
  applyRecipe,
  Detector,
  planCalibration,
  readDataset,
  readImage,
  readPackage,
  readRecipe,
  takeImages,
} from '../dist/index.mjs';
import { combinedFeeds, Preprocessor } from '../dist/models.mjs';
import { modelBytes } from '../dist/onnx.mjs';
import { kernelOptions, Session } from '../dist/runtime.mjs';
import { estimate, points, signed, verdict } from './figures.mjs';
import { sourcesOf } from './kept.mjs';
import { sessionDetector } from './session-detector.mjs';
import { openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const work = join(root, '.dino8', 'accuracy');
const images = Number(process.env.IMAGES ?? 500);
const CALIBRATION_IMAGES = 128;
const python = process.env.PYTHON;
const BUNDLED = join(root, 'assets/shapes/val');
/** Other images of the same kind tell whether a difference is one of the models or of the images. */
const dataset = process.env.DATASET ?? BUNDLED;
const { values: options } = readArguments();
const TABLES = ['accuracy-recipes', 'accuracy-observers', 'accuracy-techniques', 'accuracy-peer', 'readme-accuracy'];
const tables = openTables(TABLES, {
  write: options.write,
  settings: { IMAGES: [images, 500], DATASET: [dataset, BUNDLED] },
  needs: { 'PYTHON, a Python that has torch, transformers, onnx and onnxruntime': existsSync(python ?? '') },
});
mkdirSync(work, { recursive: true });
const { version: packageVersion } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const source = await readPackage(join(root, 'assets/nano'));
const validation = takeImages(await readDataset(dataset), images);
const plan = planCalibration(await readDataset(join(root, 'assets/shapes/calib')), CALIBRATION_IMAGES, 0);

/** The matches of a model's detections, from which figures and intervals follow. */
async function score(model) {
  const detector = await Detector.create({ ...source, model });
  const { detections } = await scoreDataset(detector, validation);
  await detector[Symbol.asyncDispose]();
  return matchDetections(validation, detections);
}

/** The safetensors format: the length of a JSON header, the header, the bytes. */
function writeSafetensors(feeds, path) {
  const NAMES = { 1: 'F32', 7: 'I64' };
  let offset = 0;
  const entries = Object.entries(feeds).map(([name, { type, shape, data }]) => {
    const begin = offset;
    offset += data.byteLength;
    return [name, { dtype: NAMES[type], shape, data_offsets: [begin, offset] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const bytes = Object.values(feeds).map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  writeFileSync(path, Buffer.concat([length, header, ...bytes]));
}

const floatMatches = await score(source.model);
const [floatIntervals] = await bootstrapScores([floatMatches]);
/** The figures of a model beside the float one. */
async function judge(matches) {
  const [, { figures, change: changed }] = await bootstrapScores([floatMatches, matches]);
  return { precision: figures.AP, changed: changed.figures.AP };
}
console.log(`FP32 ${estimate(floatIntervals.figures.AP, points)} AP on ${images} images`);

/** Results from before an interruption, by everything that they depend on; those of other sources are forgotten. */
const cachePath = join(work, 'cache.json');
const sources = sourcesOf(['accuracy-recipes']);
const kept = existsSync(cachePath) ? JSON.parse(readFileSync(cachePath, 'utf8')) : {};
const cache = kept.sources === sources ? kept.results : {};

async function measure(recipe, label) {
  const key = createHash('sha256')
    .update(JSON.stringify(['intervals', packageVersion, dataset, images, recipe.rules, recipe.techniques]))
    .digest('hex');
  if (cache[key]) return { ...cache[key], label };
  const { model } = await applyRecipe(source, recipe, { plan });
  const judged = await judge(await score(model));
  const bytes = modelBytes(model).length;
  console.log(`${label.padEnd(40)} ${estimate(judged.precision, points)} ${estimate(judged.changed, signed)}`);
  cache[key] = { label, ...judged, bytes };
  writeFileSync(cachePath, JSON.stringify({ sources, results: cache }));
  return cache[key];
}

const byRecipe = [];
for (const name of ['dynamic', 'static', 'mixed', 'fast', 'full', 'smallest'])
  byRecipe.push(await measure(await readRecipe(name), name));
tables.table(
  'accuracy-recipes',
  ['recipe', 'AP', 'change', '', 'file'],
  [
    [
      'none, FP32',
      estimate(floatIntervals.figures.AP, points),
      '',
      '',
      `${(modelBytes(source.model).length / 1e6).toFixed(1)} MB`,
    ],
    ...byRecipe.map(({ label, precision, changed, bytes }) => [
      `\`${label}\``,
      estimate(precision, points),
      estimate(changed, signed),
      verdict(changed),
      `${(bytes / 1e6).toFixed(1)} MB`,
    ]),
  ],
);
const changeOf = (name) => {
  const { changed } = byRecipe.find(({ label }) => label === name);
  return `${estimate(changed, signed)}, ${verdict(changed)}`;
};
tables.text(
  'readme-accuracy',
  `On the ${images} validation images of the bundled model (FP32: ${points(floatIntervals.figures.AP.value)} AP), the default recipe \`mixed\` changes AP by ` +
    `${changeOf('mixed')},\nand \`full\` by ${changeOf('full')} (with 95 % intervals).`,
);

const staticRecipe = await readRecipe('static');
const observers = [];
for (const kind of ['min-max', 'moving-average', 'percentile', 'entropy', 'signed-entropy', 'mse', 'top-k']) {
  const observer = { kind, percentile: 99.99, count: 100 };
  const rules = staticRecipe.rules.map((rule) => (rule.treatment === 'static' ? { ...rule, observer } : rule));
  observers.push(await measure({ ...staticRecipe, techniques: [], rules }, `static, ${kind}`));
}
{
  const rules = staticRecipe.rules.map((rule) => (rule.treatment === 'static' ? { ...rule, symmetric: true } : rule));
  observers.push(await measure({ ...staticRecipe, techniques: [], rules }, 'static, mse, symmetric ranges'));
  const weights = { bits: 8, block: 0, per: 'tensor', observer: 'min-max' };
  const coarse = staticRecipe.rules.map((rule) => (rule.treatment === 'static' ? { ...rule, weights } : rule));
  observers.push(await measure({ ...staticRecipe, techniques: [], rules: coarse }, 'static, mse, weights per tensor'));
}
tables.table(
  'accuracy-observers',
  ['observer', 'AP', 'change', ''],
  observers.map(({ label, precision, changed }) => [
    label.replace('static, ', ''),
    estimate(precision, points),
    estimate(changed, signed),
    verdict(changed),
  ]),
);

const everywhere = { match: ['**'], optional: false };
const techniques = {
  none: [],
  smooth: [{ technique: 'smooth', alpha: 0.5, ...everywhere }],
  equalize: [{ technique: 'equalize', ...everywhere }],
  'balance-queries': [{ technique: 'balance-queries', ...everywhere }],
  'correct-bias': [{ technique: 'correct-bias', ...everywhere }],
  gptq: [{ technique: 'gptq', damping: 0.01, ...everywhere }],
  adaround: [{ technique: 'adaround', iterations: 500, ...everywhere }],
  'gptq, correct-bias': [
    { technique: 'gptq', damping: 0.01, ...everywhere },
    { technique: 'correct-bias', ...everywhere },
  ],
};
const ablation = Object.fromEntries(Object.keys(techniques).map((name) => [name, {}]));
for (const base of ['static', 'smallest']) {
  const recipe = await readRecipe(base);
  for (const [name, list] of Object.entries(techniques))
    ablation[name][base] = await measure({ ...recipe, techniques: list }, `${base}, ${name}`);
}
tables.table(
  'accuracy-techniques',
  ['technique', ...Object.keys(ablation.none).map((base) => `\`${base}\``)],
  Object.entries(ablation).map(([name, byBase]) => [
    name,
    ...Object.values(byBase).map(({ changed }) => estimate(changed, signed)),
  ]),
);

if (python && existsSync(python)) {
  const at = (name) => join(work, name);
  const run = (script, ...args) =>
    execFileSync(python, [join(here, 'peers', script), ...args], { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  const detector = await Detector.create(source);
  const prompt = await detector.encodePrompt(
    validation.categories.toSorted((a, b) => a.id - b.id).map(({ name }) => name),
  );
  const [{ chunk }] = prompt.chunks;
  writeFileSync(at('ids.txt'), chunk.tokens.join(' '));
  run(
    'export_hf.py',
    work,
    '--checkpoint',
    join(root, 'assets/nano'),
    '--height',
    '192',
    '--width',
    '256',
    '--ids',
    at('ids.txt'),
  );
  const preprocessor = await Preprocessor.create(source.preprocessing);
  const feedsOf = async (path) => {
    return combinedFeeds(await preprocessor.prepare([await readImage(path)]), chunk.tokens);
  };
  mkdirSync(at('feeds'), { recursive: true });
  for (const { place, path } of plan.items.slice(0, 64))
    writeSafetensors(await feedsOf(path), at(`feeds/${String(place).padStart(3, '0')}.safetensors`));
  run('quantize_ort.py', at('model.onnx'), at('ort-dynamic.onnx'));
  run('static_ort.py', at('model.onnx'), at('ort-products.onnx'), at('feeds'), 'products');
  run('static_ort.py', at('model.onnx'), at('ort-all.onnx'), at('feeds'), 'all');
  const rows = [];
  for (const [file, label] of [
    ['model', 'Hugging Face export, FP32'],
    ['ort-dynamic', 'onnxruntime.quantization, dynamic'],
    ['ort-products', '… static min/max on MatMul, Gemm, Conv'],
    ['ort-all', '… static on every operator it knows'],
  ]) {
    const session = await Session.create(at(`${file}.onnx`), kernelOptions());
    const { detections } = await scoreDataset(sessionDetector(session, preprocessor, prompt), validation);
    await session.close();
    const { precision, changed } = await judge(matchDetections(validation, detections));
    console.log(`${label} ${estimate(precision, points)}`);
    rows.push([label, estimate(precision, points), estimate(changed, signed), verdict(changed)]);
  }
  for (const { label, precision, changed } of byRecipe)
    rows.push([`dino8 \`${label}\``, estimate(precision, points), estimate(changed, signed), verdict(changed)]);
  tables.table('accuracy-peer', ['', 'AP', 'change against FP32', ''], rows);
}

const results = { float: floatIntervals.figures.AP, images, byRecipe, observers, ablation };
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(join(here, 'results', 'accuracy.json'), JSON.stringify(results, undefined, 1));
tables.finish();
