// What a model costs in WebAssembly, with one thread, in Node.js, whose V8 is that of Chromium: the time to load it, as a page exported it
// and as its file is, and the time of a run. Times are of the processor, since the machine may have other work; each model is in a process
// of its own, whose WebAssembly is compiled and warm.
//
//   node bench/browser.mjs [--write]                   the bundled model in FP32 and by each recipe, at 192x256; --write puts the table
//                                                      into docs/browser.md
//   node bench/browser.mjs --sizes 480x640 A.onnx …    other models; the first one is what the others are compared with
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as runtime from 'onnxruntime-web';
import {
  bundledCalibration,
  bundledModel,
  calibrate,
  convert,
  exportWeb,
  quantize,
  readPackage,
} from '../dist/index.mjs';
import { modelBytes } from '../dist/onnx.mjs';
import { Detector } from '../dist/web.mjs';
import { openTables, readArguments } from './write-table.mjs';

const RECIPES = ['dynamic', 'static', 'mixed', 'fast', 'full', 'smallest'];
const PHRASES = ['red circle', 'blue square', 'green triangle'];
const RUNS = 15;

const { values, positionals } = readArguments({
  sizes: { type: 'string' },
  one: { type: 'boolean' },
  runs: { type: 'string' },
});
const runs = Number(values.runs ?? RUNS);

/** Seconds of the processor that some work takes. */
async function processorTime(work) {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, seconds: (user + system) / 1e6 };
}

/** Measures one model: the last lines of the process are its figures. */
async function measureOne(path, size) {
  const source = await readPackage(path);
  const folder = mkdtempSync(join(tmpdir(), 'dino8-browser-'));
  try {
    const site = join(folder, 'site');
    const [height, width] = size.split('x').map(Number);
    const { golden } = await exportWeb({ model: source, output: site, phrases: PHRASES, size: { height, width } });
    const read = (name) => new Uint8Array(readFileSync(join(site, 'model', name)));
    const manifest = JSON.parse(new TextDecoder().decode(read('model.json')));
    const files = { detect: read('detect.onnx'), pixels: read('pixels.onnx') };
    runtime.env.wasm.numThreads = 1;
    runtime.env.logLevel = 'error';
    // The export has loaded and run this model once, so that WebAssembly is compiled.
    const { result: detector, seconds: load } = await processorTime(() =>
      Detector.create({ source: site, manifest, files }, { runtime }),
    );
    const image = {
      width,
      height,
      pixels: new Uint8Array(width * height * 3).map((_, at) => (at * 2654435761) >>> 24),
    };
    const prepared = await detector.prepare(image);
    const prompt = await detector.encodePrompt();
    const times = [];
    for (let run = 0; run < runs; run++)
      times.push((await processorTime(() => detector.time(prepared, prompt))).seconds);
    await detector.close();
    const figures = { load, run: Math.min(...times), bytes: files.detect.length, ...golden };
    // The half as it is in the file, which onnxruntime-web then optimizes itself.
    const half = modelBytes(source.family.detection.extractHalf(source.model, 'detect'));
    const asItIs = await processorTime(() => runtime.InferenceSession.create(half, { executionProviders: ['wasm'] }));
    console.log(JSON.stringify({ ...figures, loadAsItIs: asItIs.seconds }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The bundled model in FP32 and by each recipe. */
async function bundledModels(folder) {
  mkdirSync(folder, { recursive: true });
  const at = (name) => join(folder, `${name}.onnx`);
  const statistics = join(folder, 'statistics.json');
  const overwrite = true;
  await convert({ checkpoint: bundledModel(), output: at('FP32'), overwrite });
  await calibrate({
    model: at('FP32'),
    dataset: bundledCalibration(),
    images: 32,
    output: statistics,
    everything: true,
    overwrite,
  });
  for (const recipe of RECIPES)
    await quantize({ model: at('FP32'), recipe, statistics, output: at(recipe), overwrite });
  return ['FP32', ...RECIPES].map(at);
}

if (values.one) await measureOne(positionals[0], values.sizes);
else {
  const size = values.sizes ?? '192x256';
  const work = fileURLToPath(new URL('../.dino8/browser', import.meta.url));
  const tables = openTables(['browser'], {
    write: values.write,
    settings: { '--sizes': [size, '192x256'], '--runs': [runs, RUNS], 'other models': [positionals.length, 0] },
  });
  const models = positionals.length > 0 ? positionals : await bundledModels(work);
  console.log(`onnxruntime-web ${runtime.env.versions.web}, one thread, ${size}, ${PHRASES.length} fixed phrases`);
  const found = models.map((path) => {
    const args = [fileURLToPath(import.meta.url), '--one', '--sizes', size, '--runs', String(runs), path];
    const output = execFileSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 });
    return JSON.parse(output.toString().trim().split('\n').at(-1));
  });
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  tables.table(
    'browser',
    ['model', 'file', 'in the page', 'loads in', 'as it is', 'run', 'of the first', 'boxes of the check'],
    found.map((each, index) => [
      basename(models[index], '.onnx').replace(/^[a-z]+$/, '`$&`'),
      megabytes(statSync(models[index]).size),
      megabytes(each.bytes),
      `${each.load.toFixed(2)} s`,
      `${each.loadAsItIs.toFixed(2)} s`,
      `${(each.run * 1000).toFixed(0)} ms`,
      (each.run / found[0].run).toFixed(2),
      `${each.agreeing} of ${each.expected}`,
    ]),
  );
  tables.finish();
}
