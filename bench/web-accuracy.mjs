// What a page for WebGPU loses by weights of 8 or 4 bits and by floats of 16 bits: AP of its files in ONNX Runtime on a processor, which
// has the same operators, with the change against the page in floats of 32 bits. In floats of 16 bits a processor computes each operator in
// 32 bits and rounds its results, so that the loss of adding up in 16 bits does not show.
// Usage: node bench/web-accuracy.mjs [--images 100] [--write]      (--write puts the table into docs/browser.md)
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import onnxruntime from 'onnxruntime-node';
import { bootstrapScores, matchDetections, scoreDataset } from '../dist/evaluate.mjs';
import { bundledModel, bundledValidation, exportWeb, readDataset, takeImages } from '../dist/index.mjs';
import { Detector } from '../dist/web.mjs';
import { estimate, points, signed } from './figures.mjs';
import { openTables, readStandard } from './write-table.mjs';

const { values, settings } = readStandard({ images: '100' });
const tables = openTables(['web-weights'], { write: values.write, settings });
const dataset = takeImages(await readDataset(bundledValidation()), Number(values.images));
const FORMS = [
  { weights: undefined, floats: 32 },
  { weights: 8, floats: 32 },
  { weights: 4, floats: 32 },
  { weights: undefined, floats: 16 },
  { weights: 8, floats: 16 },
  { weights: 4, floats: 16 },
];

const { env, InferenceSession, Tensor } = onnxruntime;
/** onnxruntime-node in the place of onnxruntime-web, whose interface it has. */
const runtime = {
  env: { ...env, wasm: {} },
  Tensor,
  InferenceSession: {
    create: (model) =>
      InferenceSession.create(model, { executionProviders: ['cpu'], intraOpNumThreads: 1, logSeverityLevel: 3 }),
  },
};

const folder = mkdtempSync(join(tmpdir(), 'dino8-web-accuracy-'));
const pages = [];
try {
  for (const [index, form] of FORMS.entries()) {
    process.stderr.write(`${JSON.stringify(form)}\n`);
    const output = join(folder, String(index));
    const { modelBytes } = await exportWeb({ ...form, model: bundledModel(), output, backend: 'webgpu', threads: 1 });
    const read = (name) => new Uint8Array(readFileSync(join(output, 'model', name)));
    const manifest = { ...JSON.parse(new TextDecoder().decode(read('model.json'))), backend: 'wasm' };
    const models = readdirSync(join(output, 'model')).filter((name) => name.endsWith('.onnx'));
    const files = Object.fromEntries(models.map((name) => [name.replace('.onnx', ''), read(name)]));
    const detector = await Detector.create({ source: output, manifest, files }, { runtime });
    const { detections } = await scoreDataset(detector, dataset);
    await detector.close();
    pages.push({ ...form, modelBytes, matches: matchDetections(dataset, detections) });
  }
} finally {
  rmSync(folder, { recursive: true });
}

const scores = await bootstrapScores(pages.map(({ matches }) => matches));
const rows = pages.map(({ weights, floats, modelBytes }, index) => {
  const { figures, change } = scores[index];
  return [
    weights === undefined ? 'floats' : `${weights} bits`,
    `${floats} bits`,
    `${(modelBytes / 1e6).toFixed(1)} MB`,
    points(figures.AP.value),
    change ? estimate(change.figures.AP, signed) : '',
  ];
});
const heading = ['weights', 'floats', 'model', `AP on ${dataset.images.length} images`, 'change'];
tables.table('web-weights', heading, rows);
tables.finish();
