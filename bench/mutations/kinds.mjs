// The kinds of files that dino8 reads: small valid ones of each, how they are changed, and how a user's program opens them.
import { execFileSync } from 'node:child_process';
import { cpSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { openEvaluationJournal } from '../../dist/evaluate.mjs';
import {
  bundledCalibration,
  bundledValidation,
  calibrate,
  checkPictures,
  convert,
  Detector,
  decodeImage,
  explainErrors,
  inspect,
  lint,
  loadModel,
  parseRecipe,
  quantize,
  readAnnotations,
  readCheckpoint,
  readDataset,
  readImage,
  readPackage,
  readPhrases,
  score,
  specializeModel,
  tensorSamples,
} from '../../dist/index.mjs';
import { buildPackage } from '../../dist/models.mjs';
import { DataType, extractModel, GraphBuilder, modelBytes, readModel, writeModel } from '../../dist/onnx.mjs';
import { listedSamples, readPlanSummary, readStatistics } from '../../dist/quant.mjs';
import { floats, integers, kernelOptions, Session, tensorOf } from '../../dist/runtime.mjs';
import { safetensors, writeSmallCheckpoint } from '../small-checkpoint.mjs';
import { toyModel } from '../toy-model.mjs';
import { mutateBytes, mutateJson, mutateProtobuf, mutateText, mutateZip, writeZip } from './mutate.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const fixtures = join(root, 'test/fixtures');
const nano = join(root, 'assets/nano');

/** What a case asks for is more than a test may take, and is no fault of dino8. */
export class TooLarge extends Error {}

// ---- models

const BYTES = { FLOAT: 4, UINT8: 1, INT8: 1, UINT16: 2, INT16: 2, INT32: 4, INT64: 8, BOOL: 1, FLOAT16: 2, DOUBLE: 8 };
const LARGEST_INPUT = 1 << 20;

/** Inputs for a session, of 2 for each size that it does not state. Some numbers are none. */
function feedsFor(session, random) {
  const feeds = {};
  for (const [name, { type, shape }] of session.inputs) {
    const sizes = (shape ?? [1]).map((size) => (typeof size === 'number' ? size : 2));
    const count = sizes.reduce((product, size) => product * size, 1);
    const width = BYTES[DataType[type]];
    if (width === undefined || !(count <= LARGEST_INPUT)) throw new TooLarge();
    const bytes = new Uint8Array(count * width);
    if (type === DataType.FLOAT) {
      const odd = random(4) === 0 ? [Number.POSITIVE_INFINITY, Number.NaN, -3e38, 1e-42] : [0.5, -1, 2, 0];
      new Float32Array(bytes.buffer).forEach((_, at, all) => {
        all[at] = odd[at % 4];
      });
    } else for (let at = 0; at < bytes.length; at += width) bytes[at] = at % 3;
    feeds[name] = tensorOf({ type, shape: sizes, bytes });
  }
  return feeds;
}

/** Runs a model with dino8's kernels. What ONNX Runtime needs for a model of a stranger is not dino8's to bound. */
async function run(model, { random, enterRuntime }) {
  enterRuntime();
  const session = await Session.create(model, { threads: 1, ...kernelOptions() }, 'the model');
  try {
    const outputs = await session.run(feedsFor(session, random));
    for (const name of session.outputs.keys()) outputs.get(name);
    outputs.dispose();
  } finally {
    await session.close();
  }
}

const toySamples = () =>
  listedSamples([
    {
      place: 0,
      feeds: {
        image: floats(
          Float32Array.from({ length: 192 }, (_, at) => Math.sin(at)),
          [1, 3, 8, 8],
        ),
        ids: integers([1, 5, 3], [1, 3]),
      },
    },
  ]);

const DYNAMIC = "description: dynamic\nrules:\n  - match: '**'\n    operators: [MatMul]\n    treatment: dynamic\n";

/** Writes the valid files that take long to make into a folder, once for all cases. */
export async function prepare(folder) {
  const at = (name) => join(folder, name);
  const toy = at('toy.onnx');
  await writeModel(toyModel(), toy);
  await calibrate({ model: toy, dataset: toySamples(), everything: true, threads: 1, output: at('statistics.json') });
  writeFileSync(at('dynamic.yaml'), DYNAMIC);
  const made = { model: toy, threads: 1, statistics: at('statistics.json') };
  await quantize({ ...made, output: at('toy-static.onnx') });
  for (const target of ['qdq', 'tensorrt', 'openvino'])
    await quantize({ ...made, target, output: at(`toy-${target}.onnx`) });
  await quantize({ model: toy, threads: 1, recipe: at('dynamic.yaml'), output: at('toy-dynamic.onnx') });
  await writeModel(toyModel(), at('toy-external.onnx'), { externalData: true });

  await writeSmallCheckpoint(at('small'));
  await convert({ checkpoint: at('small'), threads: 1, output: at('detector.onnx') });
  const small = { model: at('detector.onnx'), threads: 1, calibration: bundledCalibration(), calibrationImages: 4 };
  mkdirSync(at('operators'));
  const size = { height: 64, width: 96, tokens: 16, threads: 1 };
  for (const recipe of ['full', 'mixed']) {
    await quantize({ ...small, recipe, output: at(`${recipe}.onnx`) });
    await specializeModel({ ...size, model: at(`${recipe}.onnx`), output: at(`${recipe}-fixed.onnx`) });
    await writeOperators(at(`${recipe}-fixed.onnx`), at('operators'));
  }
}

/** Writes a model of one node for each of dino8's operators in a model, with its weights and its function. */
async function writeOperators(path, folder) {
  const model = await readModel(path);
  const weights = new Set(model.graph.initializer.map(({ name }) => name));
  const found = new Map(model.graph.node.filter(({ domain }) => domain !== '').map((node) => [node.opType, node]));
  for (const [type, node] of found) {
    const inputs = node.input.filter((name) => name !== '' && !weights.has(name));
    const part = extractModel(
      model,
      inputs,
      node.output.filter((name) => name !== ''),
    );
    part.metadataProps = [];
    const bytes = modelBytes(part);
    // A node may use a value that it makes itself, in a model of many.
    const session = await Session.create(bytes, { threads: 1, ...kernelOptions() }).catch(() => undefined);
    await session?.close();
    if (session) writeFileSync(join(folder, `${type}.onnx`), bytes);
  }
}

// ---- data sets and other texts

const json = (value) => Buffer.from(JSON.stringify(value));
const COCO = {
  images: [
    { id: 1, file_name: 'rgba.png', width: 13, height: 11 },
    { id: 2, file_name: 'gray.png', width: 13, height: 11 },
  ],
  annotations: [
    {
      id: 1,
      image_id: 1,
      category_id: 3,
      bbox: [1, 2, 3, 4],
      area: 12,
      iscrowd: 0,
      segmentation: [[1, 2, 4, 2, 4, 6]],
    },
    { id: 2, image_id: 2, category_id: 4, bbox: [0, 0, 5, 5], area: 25, iscrowd: 1 },
  ],
  categories: [
    { id: 3, name: 'cat', supercategory: 'animal' },
    { id: 4, name: 'dog' },
  ],
};
const LVIS = {
  ...COCO,
  images: COCO.images.map(({ file_name, ...image }) => ({
    ...image,
    coco_url: `http://images.cocodataset.org/${file_name}`,
    neg_category_ids: [3],
    not_exhaustive_category_ids: [4],
  })),
};
const RESULTS = [
  { image_id: 1, category_id: 3, bbox: [1, 2, 3, 4], score: 0.9 },
  { image_id: 2, category_id: 4, bbox: [0, 0, 4, 4.5], score: 0.25 },
  { image_id: 2, category_id: 3, bbox: [1, 1, 2, 2], score: 0.125 },
];
const VOC = `<?xml version="1.0"?>
<annotation><folder>JPEGImages</folder><filename>rgba.png</filename><size><width>13</width><height>11</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult><truncated>1</truncated>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>\n`;
const YOLO = '0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n1 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n';
const YAML = 'path: .\ntrain: images\nval: images\nnc: 2\nnames:\n  0: cat\n  1: dog\n';
const RECIPES = [
  DYNAMIC,
  'description: a\nrules:\n  - match: ["**", "a.*"]\n    treatment: static\n    observer: { percentile: 99.9 }\n    weights: { bits: 4, block: 32, observer: mse }\ntechniques:\n  - { technique: gptq, match: "fc1" }\n  - { technique: smooth }\n',
];
const JOURNAL = [
  { image: 1, detections: [{ image_id: 1, category_id: 3, bbox: [1, 2, 3, 4], score: 0.9 }] },
  { image: 2, detections: [] },
];

const picture = (name) => readFileSync(join(fixtures, 'pictures', name));
const pictures = (pattern) => () =>
  readdirSync(join(fixtures, 'pictures'))
    .filter((name) => pattern.test(name))
    .map(picture);
const files = (folder, pattern) => () =>
  readdirSync(join(fixtures, folder))
    .filter((name) => pattern.test(name))
    .map((name) => readFileSync(join(fixtures, folder, name)));

/** Opens a file of the given name that has the mutated content. */
const asFile = (name, open) => (bytes, place) => {
  const path = join(place.folder, name);
  writeFileSync(path, bytes);
  return open(path, place);
};

/** Opens a folder in which one file has the mutated content; `others` are written once. */
const inFolder = (name, others, open) => {
  let folder;
  return (bytes, place) => {
    if (folder === undefined) {
      folder = join(place.folder, `of-${name.replace(/\W/g, '-')}`);
      for (const [path, content] of [...Object.entries(others(place.prepared)), [name, bytes]]) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        if (typeof content === 'string') linkSync(content, join(folder, path));
        else writeFileSync(join(folder, path), content);
      }
    }
    writeFileSync(join(folder, name), bytes);
    return open(folder, place);
  };
};

const DATA = { 'rgba.png': picture('rgba.png'), 'gray.png': picture('gray.png') };
const below = (folder) => Object.fromEntries(Object.entries(DATA).map(([name, bytes]) => [`${folder}/${name}`, bytes]));

/** Reads a data set as a user who trains or scores with it does. */
async function openDataset(path) {
  const dataset = await readDataset(path);
  await checkPictures(dataset);
}

let photo;

/** Detects with a package in the way of the README. */
async function detectWith(source, { enterRuntime }) {
  enterRuntime();
  const detector = await Detector.create(source, { threads: 1 });
  try {
    const prompt = await detector.encodePrompt(['red circle', 'St. Bernard']);
    photo ??= await readImage(join(bundledValidation(), '000082.jpg'));
    await detector.detect(photo, prompt);
  } finally {
    await detector.close();
  }
}

const CHECKPOINT = [
  'config.json',
  'model.safetensors',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
];

/** The small checkpoint with one of its files mutated. */
function checkpoint(weight, file, seed = (prepared) => [readFileSync(join(prepared, 'small', file))]) {
  const others = (prepared) =>
    Object.fromEntries(CHECKPOINT.filter((name) => name !== file).map((name) => [name, join(prepared, 'small', name)]));
  const open = async (folder, place) => detectWith(await buildPackage(await readCheckpoint(folder)), place);
  return { weight, seeds: seed, mutate: mutateJson, open: inFolder(file, others, open) };
}

const preparedFile = (name) => (prepared) => [readFileSync(join(prepared, name))];

function model(weight, name, open = openModel) {
  return { weight, seeds: preparedFile(name), mutate: mutateProtobuf, open: asFile('model.onnx', open) };
}

async function openModel(path, place) {
  await loadModel(path);
  await run(path, place);
}

/** A journal of JSON lines: one line is mutated as JSON. */
function mutateLines(bytes, random, other) {
  if (random(3) === 0) return mutateText(bytes, random, other);
  const lines = bytes.toString().split('\n');
  const at = random(lines.length - 1);
  lines[at] = mutateJson(Buffer.from(lines[at]), random, Buffer.from(lines[0])).toString('latin1');
  return Buffer.from(lines.join('\n'), 'latin1');
}

const DATASET = { ...COCO, pathOf: ({ file_name }) => join(fixtures, 'pictures', file_name) };

/** What the entries of a journal depend on. */
const journalKey = { source: { model: toyModel() }, identity: { images: 'a', annotations: 'b', prompt: 'c' } };
let journalHead;

/** Opens the mutated entries of an evaluation's journal. A mutated head would be that of another evaluation, and refused. */
async function openJournal(bytes, place) {
  const path = join(place.folder, 'journal.jsonl');
  const { source, identity } = journalKey;
  const open = async () => (await openEvaluationJournal(path, source, DATASET, { identity })).close();
  if (journalHead === undefined) {
    await open();
    journalHead = readFileSync(path);
  }
  writeFileSync(path, Buffer.concat([journalHead, bytes]));
  await open();
}

/** A copy of the package whose kernel library or its record is mutated, in a process of its own: it is loaded once for each. */
function kernelFile(weight, pattern) {
  const built = join(root, 'kernels/build');
  const names = () => readdirSync(built).filter((name) => /^libdino8/.test(name));
  const open = (bytes, place) => {
    const copy = join(place.folder, 'package');
    const name = names().find((each) => pattern.test(each));
    try {
      mkdirSync(join(copy, 'kernels/build'), { recursive: true });
      for (const part of ['dist', 'package.json']) cpSync(join(root, part), join(copy, part), { recursive: true });
      for (const each of names()) cpSync(join(built, each), join(copy, 'kernels/build', each));
      symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    writeFileSync(join(copy, 'kernels/build', name), bytes);
    const script = `import { kernelOptions } from ${JSON.stringify(pathToFileURL(join(copy, 'dist/runtime.mjs')).href)}; kernelOptions();`;
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'pipe'] });
    cpSync(join(built, name), join(copy, 'kernels/build', name));
  };
  const seeds = () =>
    names()
      .filter((name) => pattern.test(name))
      .map((name) => readFileSync(join(built, name)));
  return { weight, seeds, mutate: pattern.test('x.json') ? mutateJson : mutateBytes, open };
}

async function openWeights(path) {
  const { tensors } = await readCheckpoint(path);
  for (const tensor of tensors.values()) tensor.bytes;
}
const COMPANIONS = () =>
  Object.fromEntries(
    ['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((name) => [name, join(nano, name)]),
  );
const weights = (weight, name, seeds, mutate) => ({
  weight,
  seeds,
  mutate,
  open: inFolder(name, COMPANIONS, (folder) => openWeights(join(folder, name))),
});

const arrayFile = (name) => readFileSync(join(fixtures, `numpy/${name}.npy`));

async function openArrays(path) {
  const b = new GraphBuilder('reads');
  b.output('y', b.add(b.input('x', DataType.FLOAT, [undefined, undefined, undefined]), 1));
  for await (const _ of tensorSamples(b.finish(), [path]).samples());
}
const arrays = (weight, name, seeds, mutate) => ({ weight, seeds, mutate, open: asFile(name, openArrays) });
const image = (weight, name, pattern) => ({
  weight,
  seeds: pictures(pattern),
  mutate: mutateBytes,
  open: (bytes) => decodeImage(bytes, name),
});

/**
 * The kinds by name. `weight` says how often one is chosen, in proportion; `seeds` gives the valid files; `mutate` changes
 * one; `open(bytes, place)` opens it. A place has a folder of the process, the folder of prepared files, the generator, and
 * `enterRuntime`, which is called before ONNX Runtime works on a mutated model.
 */
export const KINDS = {
  'float model': model(100, 'toy.onnx'),
  'static model': model(100, 'toy-static.onnx'),
  'Q/DQ model': model(100, 'toy-qdq.onnx'),
  'dynamic model': model(100, 'toy-dynamic.onnx'),
  'operator of dino8': {
    weight: 250,
    seeds: (prepared) =>
      readdirSync(join(prepared, 'operators')).map((name) => readFileSync(join(prepared, 'operators', name))),
    mutate: mutateProtobuf,
    open: asFile('model.onnx', openModel),
  },
  'model in memory': {
    weight: 40,
    seeds: preparedFile('toy-static.onnx'),
    mutate: mutateProtobuf,
    open: (bytes, place) => run(new Uint8Array(bytes), place),
  },
  'model with external data': {
    weight: 40,
    seeds: preparedFile('toy-external.onnx'),
    mutate: mutateProtobuf,
    open: inFolder(
      'toy-external.onnx',
      (prepared) => ({ 'toy-external.onnx.data': join(prepared, 'toy-external.onnx.data') }),
      (folder, place) => openModel(join(folder, 'toy-external.onnx'), place),
    ),
  },
  'model to quantize': model(30, 'toy.onnx', async (path, place) => {
    const output = join(place.folder, 'quantized.onnx');
    place.enterRuntime();
    await quantize({ model: path, recipe: join(place.prepared, 'dynamic.yaml'), output, threads: 1 });
    await run(output, place);
  }),
  'model to calibrate': model(15, 'toy.onnx', async (path, place) => {
    place.enterRuntime();
    const output = join(place.folder, 'statistics.json');
    await calibrate({ model: path, dataset: toySamples(), everything: true, threads: 1, output });
  }),
  'model to inspect': model(50, 'toy-static.onnx', async (path, place) => {
    place.enterRuntime();
    await inspect({ model: path, threads: 1, shapes: { image: [1, 3, 8, 8], ids: [1, 3] } });
  }),
  'model for TensorRT': model(100, 'toy-tensorrt.onnx', (path) =>
    lint({ model: path, target: 'tensorrt', threads: 1 }),
  ),
  'model for OpenVINO': model(100, 'toy-openvino.onnx', (path) =>
    lint({ model: path, target: 'openvino', threads: 1 }),
  ),
  'summary of a plan': model(50, 'toy-static.onnx', async (path) => readPlanSummary(await readModel(path))),
  detector: model(2, 'detector.onnx', async (path, place) => detectWith(await readPackage(path), place)),
  'detector in 8 bits': model(2, 'full.onnx', async (path, place) => detectWith(await readPackage(path), place)),
  safetensors: weights(100, 'weights.safetensors', files('checkpoints/mmdetection', /safetensors$/), mutateBytes),
  'file of torch.save': weights(250, 'weights.pth', files('checkpoints/weights', /pth$/), mutateZip),
  'large file of torch.save': weights(
    40,
    'checkpoint.pth',
    () => [
      ...files('checkpoints/torch', /protocol\d\.pth$/)(),
      gunzipSync(readFileSync(join(fixtures, 'golden/original/nano-small-tensors.pth.gz'))),
    ],
    mutateZip,
  ),
  'legacy file of torch.save': weights(250, 'legacy.pth', files('checkpoints/torch', /legacy/), mutateBytes),
  'safetensors of samples': arrays(
    150,
    'a.safetensors',
    () => [safetensors({ x: { dtype: 'F32', shape: [2, 1, 3], data_offsets: [0, 24] } }, [Buffer.alloc(24)])],
    mutateBytes,
  ),
  npz: arrays(
    200,
    'a.npz',
    () => [writeZip([{ name: 'x.npy', data: arrayFile('by_columns') }]), ...files('numpy', /npz$/)()],
    mutateZip,
  ),
  npy: arrays(300, 'a.npy', files('numpy', /npy$/), mutateBytes),
  'weights of a checkpoint': { ...checkpoint(0.5, 'model.safetensors'), mutate: mutateBytes },
  configuration: checkpoint(1, 'config.json'),
  preprocessing: checkpoint(10, 'preprocessor_config.json'),
  'processor configuration': checkpoint(1, 'processor_config.json', (prepared) => [
    json({
      image_processor: JSON.parse(readFileSync(join(prepared, 'small/preprocessor_config.json'))),
      processor_class: 'GroundingDinoProcessor',
    }),
  ]),
  tokenizer: checkpoint(20, 'tokenizer.json'),
  'tokenizer configuration': checkpoint(1, 'tokenizer_config.json'),
  annotations: {
    weight: 200,
    seeds: () => [json(COCO), json(LVIS)],
    mutate: mutateJson,
    open: inFolder('_annotations.coco.json', () => DATA, openDataset),
  },
  'annotation file': {
    weight: 400,
    seeds: () => [json(COCO), json(LVIS)],
    mutate: mutateJson,
    open: asFile('a.json', (path) => readAnnotations(path)),
  },
  'Pascal VOC': {
    weight: 300,
    seeds: () => [Buffer.from(VOC)],
    mutate: mutateText,
    open: inFolder('Annotations/rgba.xml', () => below('JPEGImages'), openDataset),
  },
  'labels of YOLO': {
    weight: 60,
    seeds: () => [Buffer.from(YOLO)],
    mutate: mutateText,
    open: inFolder('labels/rgba.txt', () => ({ ...below('images'), 'data.yaml': Buffer.from(YAML) }), openDataset),
  },
  'data.yaml': {
    weight: 200,
    seeds: () => [Buffer.from(YAML)],
    mutate: mutateText,
    open: inFolder('data.yaml', () => ({ ...below('images'), 'labels/rgba.txt': Buffer.from(YOLO) }), openDataset),
  },
  detections: {
    weight: 150,
    seeds: () => [json(RESULTS)],
    mutate: mutateJson,
    open: asFile('detections.json', (path) => score({ detections: path, annotations: DATASET })),
  },
  'detections to explain': {
    weight: 400,
    seeds: () => [json(RESULTS)],
    mutate: mutateJson,
    open: asFile('detections.json', (path) => explainErrors({ detections: path, annotations: DATASET })),
  },
  'truth of detections': {
    weight: 50,
    seeds: () => [json(COCO)],
    mutate: mutateJson,
    open: asFile('truth.json', (path) => score({ detections: [], annotations: path })),
  },
  statistics: {
    weight: 40,
    seeds: preparedFile('statistics.json'),
    mutate: mutateJson,
    open: asFile('statistics.json', (path) => readStatistics(path)),
  },
  'statistics to quantize by': {
    weight: 10,
    seeds: preparedFile('statistics.json'),
    mutate: mutateJson,
    open: asFile('statistics.json', async (path, place) => {
      const output = join(place.folder, 'quantized.onnx');
      await quantize({ model: join(place.prepared, 'toy.onnx'), statistics: path, output, threads: 1 });
    }),
  },
  recipe: {
    weight: 400,
    seeds: () => RECIPES.map((text) => Buffer.from(text)),
    mutate: mutateText,
    open: (bytes) => parseRecipe(bytes.toString(), 'the recipe'),
  },
  'recipe to quantize by': {
    weight: 20,
    seeds: () => RECIPES.map((text) => Buffer.from(text)),
    mutate: mutateText,
    open: asFile('recipe.yaml', async (path, place) => {
      const [source, statistics] = [join(place.prepared, 'toy.onnx'), join(place.prepared, 'statistics.json')];
      const output = join(place.folder, 'quantized.onnx');
      await quantize({ model: source, recipe: path, statistics, output, threads: 1 });
    }),
  },
  journal: {
    weight: 300,
    seeds: () => [Buffer.from(JOURNAL.map((entry) => `${JSON.stringify(entry)}\n`).join(''))],
    mutate: mutateLines,
    open: openJournal,
  },
  phrases: {
    weight: 300,
    seeds: () => [Buffer.from('a red circle\na person\n"a, b"\n# no phrase\nSt. Bernard\n')],
    mutate: mutateText,
    open: asFile('phrases.txt', (path) => readPhrases(path)),
  },
  JPEG: image(250, 'a.jpg', /\.jpg$/),
  PNG: image(400, 'a.png', /\.png$/),
  WebP: image(400, 'a.webp', /\.webp$/),
  GIF: image(300, 'a.gif', /\.gif$/),
  TIFF: image(400, 'a.tif', /\.tif$/),
  BMP: image(400, 'a.bmp', /\.bmp$/),
  AVIF: image(100, 'a.avif', /\.avif$/),
  'record of the kernels': kernelFile(0.5, /json$/),
  'kernel library': kernelFile(0.5, /(so|dylib|dll)$/),
};
