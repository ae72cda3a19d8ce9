// Runs the model apart from the page, which stays usable while it runs. It answers each message with one of the same `id`:
// { type: 'done', … } or { type: 'failed', message }, and tells the progress of the download and notices meanwhile.
import { canUseThreads, Detector, readImage, readPackage } from './dino8.js';

const here = (path) => new URL(path, import.meta.url).href;

/** onnxruntime-web, which the folder has if it runs the model. */
async function loadRuntime() {
  const runtime = await import('./onnxruntime/ort.js').catch(() => {
    throw new Error(
      'The model of this page runs by onnxruntime-web, which does not load; copy the whole folder of one export to the server.',
    );
  });
  runtime.env.wasm.wasmPaths = {
    mjs: here('onnxruntime/ort-wasm.js'),
    wasm: here('onnxruntime/ort-wasm.wasm'),
  };
  runtime.env.logLevel = 'error';
  return runtime;
}

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
  const runtime = source.engine ? undefined : await loadRuntime();
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
    runtime: runtime ? `onnxruntime-web ${runtime.env.versions.web}` : "dino8's engine",
    prompts: manifest.prompts?.map(({ name, phrases }) => ({ name, phrases })),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** The prompt of these phrases, or one of a model for fixed phrases by its name. */
async function encode({ phrases, name }) {
  const key = JSON.stringify([phrases, name]);
  if (prompt?.key !== key)
    prompt = { key, encoded: name === undefined ? await detector.encodePrompt(phrases) : detector.namedPrompt(name) };
  return prompt.encoded;
}

async function detect({ picture, phrases, name, threshold }) {
  const image = await readImage(picture);
  const encoded = await encode({ phrases, name });
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
  const compared = [];
  for (const { phrases, name, boxes } of golden.prompts) {
    const found = await detector.detect(image, await encode({ phrases, name }), { threshold: 0 });
    compared.push(compare(boxes, found, golden.limits));
  }
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  return {
    agrees: compared.every(({ share }) => share >= golden.limits.share),
    agreeing: sum(compared.map(({ agreeing }) => agreeing)),
    expected: sum(compared.map(({ expected }) => expected)),
  };
}

/** How many of the expected boxes were found, and their share by their scores. */
function compare(boxes, found, limits) {
  // A box that was found agrees with one of those that are expected.
  const left = [...found];
  const agreeing = boxes.filter((wanted) => {
    const at = left.findIndex(
      ({ phrase, score, box }) =>
        phrase === wanted.phrase &&
        Math.abs(score - wanted.score) <= limits.score &&
        overlap(box, wanted.box) >= limits.overlap,
    );
    return at >= 0 && left.splice(at, 1).length > 0;
  });
  const sum = (some) => some.reduce((total, { score }) => total + score, 0);
  const share = boxes.length === 0 ? 1 : sum(agreeing) / sum(boxes);
  return { share, agreeing: agreeing.length, expected: boxes.length };
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
