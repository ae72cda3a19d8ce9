// Checks pages for WebGPU in Chromium's adapter in software, which is slow: minutes for each form of the bundled model. It compares the
// boxes of the page with those of the same model in WebAssembly, by Node.js, and says nothing of the speed of a graphics processor.
// Usage: node bench/webgpu.mjs [--forms float,8,4] [--chromium PATH] [--adapter NAME] [--model MODEL]
// A form is `float`, or the bits of the weights; `/16` behind it computes in floats of 16 bits, which the adapter swiftshader does not have.
// With a Vulkan driver that has them, such as Mesa's llvmpipe:  VK_ICD_FILENAMES=…/lvp_icd.x86_64.json node bench/webgpu.mjs --adapter default
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { bundledModel, exportWeb } from '../dist/index.mjs';

const { values } = parseArgs({
  options: {
    forms: { type: 'string', default: 'float,8,4' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
    adapter: { type: 'string', default: 'swiftshader' },
    model: { type: 'string', default: bundledModel() },
  },
});
const TEN_MINUTES = 600_000;
const PHRASES = ['red circle', 'blue square', 'green triangle', 'orange ring', 'yellow rectangle'];
const SIZE = { height: 192, width: 256 };
/**
 * The largest differences that are allowed, of scores and of coordinates in parts of the picture. The same numbers in another order of
 * sums differ by less than a thousandth. Floats of 16 bits have steps of 1/2048 of a number; a logit of 8 that is the sum of a few such
 * numbers changes by some hundredths, and a score by a quarter of that.
 */
const ALLOWED = { 32: 1e-3, 16: 2e-2 };

const folder = mkdtempSync(join(tmpdir(), 'dino8-webgpu-'));
const args = ['--no-sandbox', '--enable-unsafe-webgpu', '--ignore-gpu-blocklist', '--enable-features=Vulkan'];
const browser = await chromium.launch({
  executablePath: values.chromium,
  args: [...args, `--use-webgpu-adapter=${values.adapter}`],
});
let failures = 0;
try {
  for (const form of values.forms.split(',')) failures += (await check(form)) ? 0 : 1;
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
process.exitCode = failures > 0 ? 1 : 0;

/** True if the page of a form finds what the same model finds in WebAssembly. */
async function check(form) {
  const [weights, floats = '32'] = form.split('/');
  const output = join(folder, form.replace('/', '-'));
  const asked = { weights: weights === 'float' ? undefined : Number(weights), floats: Number(floats) };
  const written = await exportWeb({
    ...asked,
    model: values.model,
    output,
    phrases: PHRASES,
    size: SIZE,
    backend: 'webgpu',
  });
  const golden = JSON.parse(readFileSync(join(output, 'golden.json'), 'utf8'));
  const [{ boxes: expected }] = golden.prompts;
  const server = spawn(process.execPath, [join(output, 'server.mjs'), '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const address = await new Promise((resolve) => server.stdout.once('data', (line) => resolve(String(line).trim())));
    const page = await browser.newPage();
    page.setDefaultTimeout(TEN_MINUTES);
    await page.goto(address);
    const start = Date.now();
    const { boxes, adapter } = await page.evaluate(findInPage, golden);
    await page.close();
    const differences = expected.map((wanted) => difference(wanted, boxes, SIZE));
    const [score, place] = ['score', 'place'].map((key) => Math.max(...differences.map((each) => each[key])));
    const agrees = Math.max(score, place) <= ALLOWED[floats];
    console.log(
      `${form} (${(written.modelBytes / 1e6).toFixed(1)} MB, ${adapter}, ${((Date.now() - start) / 1000).toFixed(0)} s): ` +
        `${expected.length} boxes, scores within ${score.toExponential(1)} and places within ${place.toExponential(1)} of those in WebAssembly` +
        `, allowed ${ALLOWED[floats]}: ${agrees ? 'agrees' : 'DIFFERS'}`,
    );
    return agrees;
  } finally {
    server.kill();
  }
}

/** How far the nearest box of the same phrase is from one that is expected. */
function difference(wanted, found, { width, height }) {
  const of = ({ phrase, score, box }) => ({
    phrase,
    score: Math.abs(score - wanted.score),
    place: Math.max(...box.map((each, at) => Math.abs(each - wanted.box[at]) / (at % 2 === 0 ? width : height))),
  });
  const candidates = found.map(of).filter(({ phrase }) => phrase === wanted.phrase);
  const missing = { score: 1, place: 1 };
  return candidates.reduce((best, each) => (each.score + each.place < best.score + best.place ? each : best), missing);
}

/** Runs in the page: the boxes of the picture of the check, without those that score almost nothing. */
async function findInPage(golden) {
  const here = (path) => new URL(path, document.baseURI).href;
  const [{ Detector, readImage, readPackage }, runtime] = await Promise.all(
    ['dino8.js', 'onnxruntime/ort.js'].map((path) => import(here(path))),
  );
  runtime.env.wasm.wasmPaths = { mjs: here('onnxruntime/ort-wasm.js'), wasm: here('onnxruntime/ort-wasm.wasm') };
  const { info } = await navigator.gpu.requestAdapter();
  const detector = await Detector.create(await readPackage(here('model/')), { runtime, threads: 1 });
  const bytes = Uint8Array.from(atob(golden.picture), (character) => character.charCodeAt(0));
  const image = await readImage(new Blob([bytes], { type: 'image/png' }), { name: 'golden.json' });
  const boxes = await detector.detect(image, await detector.encodePrompt(), { threshold: 0.01 });
  return { boxes, adapter: [info.vendor, info.architecture].filter(Boolean).join(' ') };
}
