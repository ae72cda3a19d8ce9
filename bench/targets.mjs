// The table of docs/deployment.md: what each target makes of each recipe on the bundled model, whether its runtime loads that, whether it
// finds the same boxes, its AP and its size; and with PYTHON the same files in OpenVINO. Everything is kept in .dino8/targets, so that
// a run that was interrupted goes on. Nothing is run in TensorRT: what says so was run in ONNX Runtime and read by tables. --write puts the
// tables into the page.
//
//   npm run bench:targets                             (IMAGES=500; ONLY=openvino,bundles for these targets alone)
//   PYTHON=…/bin/python npm run bench:targets -- --write         (a Python that has openvino and numpy)
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrapScores, matchDetections, scoreDataset } from '../dist/evaluate.mjs';
import {
  applyRecipe,
  categoryPhrases,
  Detector,
  exportTensorRt,
  planCalibration,
  readDataset,
  readImage,
  readPackage,
  readRecipe,
  takeImages,
} from '../dist/index.mjs';
import { Preprocessor } from '../dist/models.mjs';
import { copyModel, lowerModel, modelBytes } from '../dist/onnx.mjs';
import { lintOperators, TARGETS } from '../dist/quant.mjs';
import { Session } from '../dist/runtime.mjs';
import { compareQueries } from './agreement.mjs';
import { estimate, points, signed } from './figures.mjs';
import { openJournal } from './journal.mjs';
import { sourcesOf } from './kept.mjs';
import { OpenVinoSession } from './openvino-session.mjs';
import { sessionDetector } from './session-detector.mjs';
import { openTables, readArguments } from './write-table.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const work = join(root, '.dino8', 'targets');
const IMAGES = Number(process.env.IMAGES ?? 500);
const COMPARED = Math.min(IMAGES, 12);
const CALIBRATION_IMAGES = 64;
const python = process.env.PYTHON;
const { values: options } = readArguments();
const tables = openTables(['targets', 'targets-in-openvino'], {
  write: options.write,
  settings: { IMAGES: [IMAGES, 500], ONLY: [process.env.ONLY ?? '', ''] },
  needs: { 'PYTHON, a Python that has openvino and numpy': existsSync(python ?? '') },
});
mkdirSync(work, { recursive: true });

const source = await readPackage(join(root, 'assets/nano'));
const dataset = takeImages(await readDataset(join(root, 'assets/shapes/val')), IMAGES);
const plan = planCalibration(await readDataset(join(root, 'assets/shapes/calib')), CALIBRATION_IMAGES, 0);
const phrases = categoryPhrases(dataset.categories.toSorted((a, b) => a.id - b.id));
const preprocessor = await Preprocessor.create(source.preprocessing);
const detector = await Detector.create(source);
const prompt = await detector.encodePrompt(phrases);
const pictures = await Promise.all(dataset.images.slice(0, COMPARED).map((image) => readImage(dataset.pathOf(image))));
const journal = openJournal(join(work, 'measurements.jsonl'));

const sources = sourcesOf(['targets']);

/** What `make` returns, kept from an earlier run of the same sources. */
async function kept(name, make) {
  const key = [sources, IMAGES, name].join(' | ');
  if (!journal.get(key)) {
    process.stderr.write(`${name}\n`);
    journal.add(key, await make());
  }
  return journal.get(key);
}

const matchesOf = async (scored) => matchDetections(dataset, (await scoreDataset(scored, dataset)).detections);
let floatMatches;

/** AP and its change against the float model, with their intervals. */
async function judge(session) {
  floatMatches ??= await matchesOf(detector);
  const matches = await matchesOf(sessionDetector(session, preprocessor, prompt));
  const [, { figures, change }] = await bootstrapScores([floatMatches, matches]);
  return { precision: figures.AP, change: change.figures.AP };
}

/** How far the boxes of one session are from those of another, query by query and by matching. */
async function agreement(session, other) {
  const [a, b] = [session, other].map((each) => sessionDetector(each, preprocessor, prompt));
  const found = [];
  for (const picture of pictures) {
    const [outputs, others] = [await a.run(picture), await b.run(picture)];
    const rows = (of) => ({ logits: of.get('logits'), boxes: of.get('pred_boxes') });
    found.push(compareQueries(rows(outputs), rows(others)));
    for (const each of [outputs, others]) each.dispose();
  }
  const mean = (key) => found.reduce((sum, each) => sum + each[key], 0) / found.length;
  return { queries: mean('queries'), moved: mean('moved'), mean: mean('mean'), inOrder: mean('inOrder') };
}

const floatSession = await Session.create(source.model, { threads: 1 });
const targetOf = (name) => TARGETS.find((each) => each.name === name);

/** One file of a target: its size, the versions that load it, its boxes and its AP in ONNX Runtime. */
async function examine(model, targetName, bytes) {
  const { operators } = targetOf(targetName);
  const broken = (version) => lintOperators(model, operators, version).filter(({ effect }) => effect !== 'float');
  const versions = operators?.versions.map(({ name }) => name).filter((name) => broken(name).length === 0);
  const session = await Session.create(model, { threads: 1 });
  const found = await agreement(floatSession, session);
  const judged = await judge(session);
  await session.close();
  return { bytes, versions, agreement: found, ...judged };
}

/** What `examined` returns, or the sentence by which dino8 refuses to make the model. */
async function orRefused(examined) {
  try {
    return await examined();
  } catch (error) {
    if (error.name !== 'UsageError' && error.name !== 'InputError') throw error;
    return { refused: error.message };
  }
}

/** The model of a recipe in the form of a target; the form alone for the recipe `float`. */
async function modelFor(target, recipe) {
  if (recipe !== 'float') return (await applyRecipe(source, await readRecipe(recipe), { plan, target })).model;
  const model = copyModel(source.model);
  if (targetOf(target).operators) lowerModel(model, { opset: 17, shapeParts: target !== 'tensorrt' }, 'nano');
  return model;
}

/** The targets of this run. */
const only = process.env.ONLY?.split(',') ?? [...TARGETS.map(({ name }) => name), 'bundles'];
/** Pairs have ranges that are known before a run, so recipes of dynamic layers say nothing about targets; docs/accuracy.md has them. */
const RECIPES = ['float', 'static', 'fast'];
const rows = [];
const openvino = [];
for (const { name: target } of TARGETS.filter(({ name }) => only.includes(name)))
  for (const recipe of RECIPES) {
    const models = [];
    const model = async () => {
      if (models.length === 0) models.push(await modelFor(target, recipe));
      return models[0];
    };
    const row = await kept(`${target}, ${recipe}`, () =>
      orRefused(async () => {
        const made = await model();
        return examine(made, target, modelBytes(made).length);
      }),
    );
    rows.push({ target, recipe, ...row });
    if (target === 'openvino' && !row.refused && python)
      for (const precision of ['f32', 'default'])
        openvino.push({
          recipe,
          ...(await kept(`in OpenVINO, ${recipe}, ${precision}`, async () => inOpenVino(await model(), precision))),
        });
  }

/** A file of the target openvino there, beside ONNX Runtime, which is also compared with itself without optimizations. */
async function inOpenVino(model, precision) {
  const session = await OpenVinoSession.create(python, model, precision);
  const reference = await Session.create(model, { threads: 1 });
  const plain = await Session.create(model, { threads: 1, optimization: 'none' });
  const found = await agreement(reference, session);
  const itself = await agreement(reference, plain);
  const judged = await judge(session);
  for (const each of [session, reference, plain]) await each.close();
  return { ...session.facts, agreement: found, itself, judged };
}

/** The models of bundles for TensorRT, at the size of the bundled pictures and for their phrases. */
for (const tensorrt of only.includes('bundles') ? ['8.5', '8.6', '10.3', '11'] : [])
  for (const recipe of ['float', 'static']) {
    const row = await kept(`bundle for TensorRT ${tensorrt}, ${recipe}`, () =>
      orRefused(async () => {
        const output = join(work, 'bundle');
        rmSync(output, { recursive: true, force: true });
        const model = { ...source, model: recipe === 'float' ? source.model : await modelFor('tensorrt', recipe) };
        await exportTensorRt({
          model,
          output,
          tensorrt,
          phrases,
          sizes: [{ height: 192, width: 256 }],
          picture: dataset.pathOf(dataset.images[0]),
        });
        const made = await readPackage(join(output, 'model.onnx'));
        const own = readdirSync(output).filter((name) => name.startsWith('model.onnx'));
        return examine(
          made.model,
          'tensorrt',
          own.reduce((sum, name) => sum + statSync(join(output, name)).size, 0),
        );
      }),
    );
    rows.push({ target: `bundle for TensorRT ${tensorrt}`, recipe, ...row });
  }

/** What loads a file, and how that is known. */
function loads({ target, versions }) {
  if (!versions) return 'ONNX Runtime';
  const { runtime } = targetOf(target.startsWith('bundle') ? 'tensorrt' : target).operators;
  const list = versions.length > 0 ? versions.join(', ') : 'of no version';
  return `ONNX Runtime; by the tables ${runtime} ${list}${runtime === 'TensorRT' ? ' (not run on a device)' : ''}`;
}

/** The number of products by the type that they compute in; OpenVINO names kernels as in `brgconv_avx512_amx_I8`. */
function productsBy(kernels) {
  const counts = {};
  for (const [name, count] of Object.entries(kernels)) {
    const type = name.split('_').at(-1).replace('I8', 'INT8');
    counts[type] = (counts[type] ?? 0) + count;
  }
  return Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} ${type}`)
    .join(', ');
}

const made = rows.filter(({ refused }) => !refused);
tables.table(
  'targets',
  ['target', 'recipe', 'loads in', 'boxes apart', `AP on ${IMAGES} images`, 'change against FP32', 'size'],
  made.map((row) => [
    row.target,
    `\`${row.recipe}\``,
    loads(row),
    row.agreement.mean.toFixed(4),
    estimate(row.precision, points),
    estimate(row.change, signed),
    `${(row.bytes / 1e6).toFixed(1)} MB`,
  ]),
);
for (const { target, recipe, refused } of rows.filter(({ refused }) => refused))
  console.log(`Not made: ${target}, \`${recipe}\`: ${refused}`);
if (openvino.length > 0)
  tables.table(
    'targets-in-openvino',
    [
      `in OpenVINO ${openvino[0].openvino.split('-')[0]}`,
      'other floats',
      'boxes apart',
      'ONNX Runtime from itself without optimizations',
      'queries in other places',
      'AP',
      'change against FP32',
      'products in',
    ],
    openvino.map(({ recipe, precision, agreement: found, itself, products, judged }) => [
      `\`${recipe}\``,
      precision,
      found.mean.toFixed(4),
      itself.mean.toFixed(4),
      `${found.moved.toFixed(0)} of ${found.queries}, there ${itself.moved.toFixed(0)}`,
      estimate(judged.precision, points),
      estimate(judged.change, signed),
      productsBy(products),
    ]),
  );
tables.finish();
