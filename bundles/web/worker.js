// Runs the model apart from the page, which stays usable while it runs. It answers each message with one of the same `id`:
// { type: 'done', … } or { type: 'failed', message }, and tells the progress of the download and notices meanwhile.
import { canUseThreads, Detector, readImage, readPackage } from './dino8.js';
import * as runtime from './onnxruntime/ort.js';

const here = (path) => new URL(path, import.meta.url).href;
runtime.env.wasm.wasmPaths = {
  mjs: here('onnxruntime/ort-wasm.js'),
  wasm: here('onnxruntime/ort-wasm.wasm'),
};
runtime.env.logLevel = 'error';

let detector;
/** The last prompt: it is encoded again only when the phrases have changed. */
let prompt;

/** Milliseconds that some work takes, and its result. */
async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { result, milliseconds: performance.now() - start };
}

async function load() {
  const onNotice = (sentence) => postMessage({ type: 'notice', sentence });
  const onProgress = ({ done, total }) => postMessage({ type: 'progress', done, total });
  const source = await readPackage(here('model/'), { onNotice, onProgress });
  postMessage({ type: 'preparing' });
  const { result, milliseconds } = await timed(() => Detector.create(source, { runtime }));
  detector = result;
  const { manifest } = source;
  const files = Object.values(manifest.files);
  return {
    milliseconds,
    threads: detector.threads,
    isIsolated: canUseThreads(),
    backend: detector.backend,
    precision: manifest.precision,
    version: manifest.dino8,
    runtime: runtime.env.versions.web,
    phrases: manifest.prompt?.phrases,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

async function encode(phrases) {
  const key = JSON.stringify(phrases ?? null);
  if (prompt?.key !== key) prompt = { key, encoded: await detector.encodePrompt(phrases) };
  return prompt.encoded;
}

async function detect({ picture, phrases, threshold }) {
  const image = await readImage(picture);
  const encoded = await encode(phrases);
  const { result, milliseconds } = await timed(() => detector.detect(image, encoded, { threshold }));
  const { width, height } = image;
  return { boxes: result, width, height, milliseconds, warnings: encoded.prompt.warnings };
}

/** Compares what is found here in the picture of golden.json with what dino8 found in it when it made this folder. */
async function check() {
  const response = await fetch(here('golden.json'));
  if (!response.ok)
    throw new Error('The server has no golden.json, which the check needs; copy the whole folder to it.');
  const golden = await response.json();
  const bytes = Uint8Array.from(atob(golden.picture), (character) => character.charCodeAt(0));
  const image = await readImage(new Blob([bytes], { type: 'image/png' }), { name: 'golden.json' });
  const found = await detector.detect(image, await encode(golden.phrases), { threshold: 0 });
  const { limits } = golden;
  // A box that was found agrees with one of those that are expected.
  const left = [...found];
  const agreeing = golden.boxes.filter((wanted) => {
    const at = left.findIndex(
      ({ phrase, score, box }) =>
        phrase === wanted.phrase &&
        Math.abs(score - wanted.score) <= limits.score &&
        overlap(box, wanted.box) >= limits.overlap,
    );
    return at >= 0 && left.splice(at, 1).length > 0;
  });
  const sum = (boxes) => boxes.reduce((total, { score }) => total + score, 0);
  const share = golden.boxes.length === 0 ? 1 : sum(agreeing) / sum(golden.boxes);
  return { agrees: share >= limits.share, agreeing: agreeing.length, expected: golden.boxes.length };
}

/** Intersection over union. */
function overlap([ax, ay, aw, ah], [bx, by, bw, bh]) {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  const shared = Math.max(0, width) * Math.max(0, height);
  return shared > 0 ? shared / (aw * ah + bw * bh - shared) : 0;
}

const work = { load, detect, check };

addEventListener('message', async ({ data: { id, type, ...rest } }) => {
  try {
    postMessage({ id, type: 'done', ...(await work[type](rest)) });
  } catch (error) {
    postMessage({ id, type: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});
postMessage({ type: 'started' });
