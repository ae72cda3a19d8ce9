// The roofline of a model: for each component its multiply-adds, the bytes that its operators move, its time, and the share of
// the machine's INT8 peak that it reaches.
//
//   npm run bench:roofline -- [MODEL.onnx IO.safetensors] [--threads 2] [--runs 3] [--nodes 20]
//
// Without a model it takes the one that bench:full made. Times are those of ONNX Runtime's profile. Two limits are measured
// before and after, for the instruction set that is used (DINO8_KERNEL_PATH; kernel_peak.cpp): the peak, which is what the
// instruction does on registers, and the product, which is what dino8's own product does on data in the caches. Multiply-adds are counted from the shapes, those of fused operators by their bodies; bytes are
// those of the tensors that operators read and write.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inspectModel } from '../dist/evaluate.mjs';
import { loadModel, readSafetensors } from '../dist/models.mjs';
import { kernelOptions, profileRun, tensorOf } from '../dist/runtime.mjs';
import { componentOf, components } from './components.mjs';
import { kernelPeak } from './kernel-peak.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const made = (name) => join(here, '..', '.dino8', 'bench-full', name);
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    nodes: { type: 'string', default: '0' },
  },
});
const [path = made('int8.onnx'), io = made('io.safetensors')] = positionals;
if (!existsSync(path) || !existsSync(io)) {
  console.error(
    `${existsSync(path) ? io : path} does not exist; run bench:full first, or name a model and its inputs.`,
  );
  process.exit(2);
}
const [threads, runs] = [Number(options.threads), Number(options.runs)];

const loaded = await loadModel(path);
const tensors = await readSafetensors(io);
const inputs = loaded.model.graph.input.map(({ name }) => name).filter((name) => tensors.has(name));
const feeds = Object.fromEntries(inputs.map((name) => [name, tensorOf(tensors.get(name))]));

const before = kernelPeak(threads);
const nodes = await profileRun(path, { threads, ...kernelOptions() }, feeds, runs);
const after = kernelPeak(threads);
const product = Math.max(before.multiplyAddsPerSecond, after.multiplyAddsPerSecond);
const registers = Math.max(before.onRegisters, after.onRegisters);
// Where the peak on registers is not measured, the product stands for it.
const peak = registers || product;

const EVERY_SEGMENT = 99;
const { modules, uncounted } = await inspectModel(loaded, { feeds, depth: EVERY_SEGMENT, profile: false });
const rows = new Map(components.map((name) => [name, { nodes: 0, integer: 0, float: 0, bytes: 0, seconds: 0 }]));
for (const { path: module, multiplyAdds, integerMultiplyAdds } of modules) {
  const row = rows.get(componentOf(module));
  row.integer += integerMultiplyAdds;
  row.float += multiplyAdds - integerMultiplyAdds;
}
for (const { name, seconds, bytes } of nodes) {
  // ONNX Runtime names a fused node after one of its parts, and a few anew; those are in the rest.
  const row = rows.get(componentOf(name.slice(0, Math.max(name.lastIndexOf('/'), 0))));
  row.nodes++;
  row.seconds += seconds / runs;
  row.bytes += bytes;
}
const total = { nodes: 0, integer: 0, float: 0, bytes: 0, seconds: 0 };
for (const row of rows.values()) for (const key of Object.keys(total)) total[key] += row[key];

const share = ({ integer, float, seconds }, limit) => (seconds > 0 ? (integer + float) / seconds / limit : 0);
const percent = (part) => `${(100 * part).toFixed(0)} %`;
const present = (row) => ({
  nodes: row.nodes,
  'int8 G': (row.integer / 1e9).toFixed(2),
  'float G': (row.float / 1e9).toFixed(2),
  MB: (row.bytes / 1e6).toFixed(0),
  ms: (row.seconds * 1000).toFixed(1),
  'of time': percent(row.seconds / total.seconds),
  'of peak': percent(share(row, peak)),
  'of product': percent(share(row, product)),
  'GB/s': (row.bytes / 1e9 / row.seconds).toFixed(1),
});
const inBillions = (rate) => (rate / 1e9).toFixed(0);
console.log(
  `${path}: ${threads} threads, ${runs} runs. Billions of multiply-adds of bytes a second by ${before.path}: peak ` +
    `${registers ? inBillions(registers) : 'not measured, the product stands for it'}, product ${inBillions(product)} ` +
    `(before ${inBillions(before.multiplyAddsPerSecond)}, after ${inBillions(after.multiplyAddsPerSecond)})`,
);
console.table(
  Object.fromEntries(
    [...rows, ['whole model', total]].filter(([, row]) => row.nodes > 0).map(([name, row]) => [name, present(row)]),
  ),
);
if (uncounted > 0)
  console.log(`The multiply-adds of ${uncounted} nodes are missing, because their shapes are not known.`);
const slowest = nodes.toSorted((a, b) => b.seconds - a.seconds).slice(0, Number(options.nodes));
for (const { name, operator, seconds } of slowest)
  console.log(`${((seconds / runs) * 1000).toFixed(2).padStart(8)} ms  ${operator}  ${name}`);
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(
  join(here, 'results', 'roofline.json'),
  JSON.stringify(
    { path, threads, kernelPath: before.path, peak, product, rows: Object.fromEntries(rows), total },
    undefined,
    1,
  ),
);
