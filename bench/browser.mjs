// What a model costs in a page, with one thread, in Chromium without a window: the time to prepare it, and the time of a run. All models are
// measured in turns, each time in a page of its own.
//
//   node bench/browser.mjs [--write]                   the bundled model in FP32 and by each recipe, at 192x256; --write puts the table
//                                                      into docs/browser.md
//   node bench/browser.mjs --published [--write]       the published Swin-T model in FP32 and by `fast`, as `npm run bench:full` made them, at
//                                                      480x640, with two threads
//   node bench/browser.mjs --sizes 480x640 A.onnx …    other models; the first one is what the others are compared with
//   --rounds N --runs N --threads N                    5 rounds, the fastest of 40 runs of a page, one thread; published: 3, 5 and 2
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { bundledCalibration, bundledModel, calibrate, convert, exportWeb, quantize } from '../dist/index.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const RECIPES = ['dynamic', 'static', 'mixed', 'fast', 'full', 'smallest'];
const PHRASES = ['red circle', 'blue square', 'green triangle'];
/** What is measured by default, of the bundled model and of the published one. */
const BUNDLED = { sizes: '192x256', rounds: '5', runs: '40', threads: '1' };
const PUBLISHED = { sizes: '480x640', rounds: '3', runs: '5', threads: '2' };

const { values: given, positionals } = readArguments({
  ...Object.fromEntries(Object.keys(BUNDLED).map((name) => [name, { type: 'string' }])),
  chromium: { type: 'string', default: '/usr/bin/chromium' },
  published: { type: 'boolean', default: false },
});
const standard = given.published ? PUBLISHED : BUNDLED;
const values = { ...standard, ...given };
const [height, width] = values.sizes.split('x').map(Number);
const [rounds, runs, threads] = [values.rounds, values.runs, values.threads].map(Number);

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

/** Runs in the browser: loads a model, and returns the milliseconds of that and of the fastest run. */
async function measureInPage({ size, count, threadCount }) {
  const at = (path) => new URL(path, location.href).href;
  const { Detector, readPackage } = await import(at('dino8.js'));
  const source = await readPackage('model/', { cache: false });
  let runtime;
  if (!source.engine) {
    runtime = await import(at('onnxruntime/ort.js'));
    runtime.env.wasm.wasmPaths = { mjs: at('onnxruntime/ort-wasm.js'), wasm: at('onnxruntime/ort-wasm.wasm') };
    runtime.env.logLevel = 'error';
  }
  const before = performance.now();
  const detector = await Detector.create(source, { runtime, threads: threadCount });
  const load = performance.now() - before;
  const pixels = new Uint8Array(size.width * size.height * 3).map((_, index) => (index * 2654435761) >>> 24);
  const prepared = await detector.prepare({ ...size, pixels });
  const prompt = await detector.encodePrompt();
  const times = [];
  for (let run = 0; run < count; run++) {
    const start = performance.now();
    await detector.time(prepared, prompt);
    times.push(performance.now() - start);
  }
  await detector.close();
  return { load, run: Math.min(...times), isIsolated: crossOriginIsolated };
}

/** Writes the page of a model, and serves it. */
async function openSite({ name, path, runtime }, folder) {
  const site = join(folder, name.replace(/\W+/g, '-'));
  const written = await exportWeb({ model: path, output: site, phrases: PHRASES, size: { height, width }, runtime });
  const server = spawn(process.execPath, [join(site, 'server.mjs'), '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const address = await new Promise((resolve) => server.stdout.once('data', (line) => resolve(String(line).trim())));
  return { name, path, written, server, address, loads: [], times: [] };
}

async function measure(browser, site) {
  const page = await browser.newPage();
  // A file of the same origin that is no page of its own: nothing else runs beside the measurement.
  await page.goto(new URL('golden.json', site.address).href);
  const found = await page.evaluate(measureInPage, { size: { height, width }, count: runs, threadCount: threads });
  await page.close();
  if (!found.isIsolated) throw new Error(`${site.name}: the page is not isolated, so that its clock is coarse.`);
  site.loads.push(found.load);
  site.times.push(found.run);
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
/** The recipes of models that have other names. */
const NAMES = { fp32: 'FP32', int8: 'fast' };
const inWork = (name) => fileURLToPath(new URL(`../.dino8/${name}`, import.meta.url));
const published = ['fp32.onnx', 'int8.onnx'].map((name) => inWork(`bench-full/${name}`));
const table = values.published ? 'browser-published' : 'browser';
const settings = Object.fromEntries(
  Object.entries(standard).map(([name, value]) => [`--${name}`, [values[name], value]]),
);
const tables = openTables([table], {
  write: values.write,
  settings: { ...settings, 'other models': [positionals.length, 0] },
});
if (values.published && !published.every((path) => existsSync(path)))
  misuse('--published: there are no models of `npm run bench:full`; run that first.');
const models =
  positionals.length > 0 ? positionals : values.published ? published : await bundledModels(inWork('browser'));
const rows = models.flatMap((path, index) => {
  const name = NAMES[basename(path, '.onnx')] ?? basename(path, '.onnx');
  const engine = { name, path, runtime: 'dino8' };
  const runtime = { name: `${name} in onnxruntime-web`, path, runtime: 'onnxruntime-web' };
  // What the first one takes is what onnxruntime-web takes for it.
  return index === 0 ? [runtime, { ...engine, name: `${name} in dino8's engine` }] : [engine, runtime];
});
const folder = mkdtempSync(join(tmpdir(), 'dino8-browser-'));
const browser = await chromium.launch({ executablePath: values.chromium, args: ['--no-sandbox'] });
const sites = [];
try {
  for (const row of rows) sites.push(await openSite(row, folder));
  console.log(`Chromium ${browser.version()}, ${values.sizes}, ${PHRASES.length} fixed phrases, threads: ${threads}`);
  for (let round = 0; round < rounds; round++) for (const site of sites) await measure(browser, site);
} finally {
  await browser.close();
  for (const { server } of sites) server.kill();
  rmSync(folder, { recursive: true });
}
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
tables.table(
  table,
  ['model', 'file', 'page', 'model in it', 'prepared in', 'run', 'of the first', 'rounds', 'boxes of the check'],
  sites.map(({ name, path, written, loads, times }) => {
    const ratios = times.map((time, round) => time / sites[0].times[round]).toSorted((a, b) => a - b);
    return [
      name.replace(/^[a-z]+/, '`$&`'),
      megabytes(statSync(path).size),
      megabytes(written.pageBytes),
      megabytes(written.modelBytes),
      `${(median(loads) / 1000).toFixed(2)} s`,
      `${median(times).toFixed(1)} ms`,
      median(ratios).toFixed(2),
      `${ratios[0].toFixed(2)}–${ratios.at(-1).toFixed(2)}`,
      `${written.golden.agreeing} of ${written.golden.expected}`,
    ];
  }),
);
tables.finish();
