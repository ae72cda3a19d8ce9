// One contender in a process of its own: loads a combined model, runs it on given inputs, prints one line of JSON in the
// format of bench/peers/bench_ort.py. usage: contender.mjs MODEL IO.safetensors RUNS THREADS [BATCH]
// With BATCH there are so many pictures, which share the prompt: its text is encoded once for all of them, as by a detector.
import { readFileSync } from 'node:fs';
import { readSafetensors } from '../dist/models.mjs';
import { modelBytes } from '../dist/onnx.mjs';
import { kernelOptions, Session, tensorOf } from '../dist/runtime.mjs';

/** The tensor `count` times along its first dimension. */
function repeat(tensor, count) {
  if (count === 1) return tensor;
  const { data, shape } = tensor;
  const all = new data.constructor(data.length * count);
  for (let at = 0; at < count; at++) all.set(data, at * data.length);
  return { ...tensor, data: all, shape: [count * shape[0], ...shape.slice(1)] };
}

const [model, io, runs, threads, batch = '1'] = process.argv.slice(2);
/** A checkpoint as an ONNX model. The modules that convert it are not in the memory of a process that runs an ONNX file. */
async function convert(checkpoint) {
  const { readPackage } = await import('../dist/index.mjs');
  return modelBytes((await readPackage(checkpoint)).model);
}
const start = performance.now();
const source = model.endsWith('.onnx') ? model : await convert(model);
const session = await Session.create(source, { threads: Number(threads), ...kernelOptions() });
const loadSeconds = (performance.now() - start) / 1000;
const tensors = await readSafetensors(io);
/** An input of the model. Golden files have no token types, which are 0 in every prompt. */
function inputOf(name) {
  const stored = tensors.get(name);
  if (stored || name !== 'token_type_ids') return tensorOf(stored);
  const ids = tensorOf(tensors.get('input_ids'));
  return { ...ids, data: new BigInt64Array(ids.data.length) };
}
const countOf = (name) => (name.startsWith('pixel_') ? Number(batch) : 1);
const feeds = Object.fromEntries(
  [...session.inputs.keys()].map((name) => [name, repeat(inputOf(name), countOf(name))]),
);
(await session.run(feeds)).dispose();
const seconds = [];
for (let run = 0; run < Number(runs); run++) {
  const before = performance.now();
  (await session.run(feeds)).dispose();
  seconds.push((performance.now() - before) / 1000);
}
await session.close();
// The peak of the kernel's own book-keeping, as Python's resource.getrusage tells it.
const peak = Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) / 1024;
console.log(JSON.stringify({ model, load_s: loadSeconds, run_s: seconds, peak_rss_mb: Math.round(peak) }));
