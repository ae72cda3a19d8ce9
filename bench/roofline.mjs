// The roofline of a model: for each component its multiply-adds, the bytes that its operators move, its time, and the share of
// the machine's INT8 peak that it reaches.
//
//   npm run bench:roofline -- [MODEL.onnx IO.safetensors] [--threads 2] [--rounds 5] [--nodes 20] [--write]
//
// Without a model it takes the one that bench:full made, whose table --write puts into docs/performance.md. Times are those of
// ONNX Runtime's profile, of each component the median of rounds of three runs. Two limits are measured for the instruction set that is used
// (DINO8_KERNEL_PATH; kernel_peak.cpp): the peak, which is what the instruction does on registers, and the product, which is what
// dino8's own product does on data in the caches. A third, ONNX Runtime's own product, is what users measure without dino8
// (runtime-product.mjs). Since processors change their frequency, they are measured in turns with the model, and their medians count.
// Multiply-adds are counted from the shapes, those of fused operators by their bodies; bytes are those of the tensors that
// operators read and write.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspectModel } from '../dist/evaluate.mjs';
import { loadModel, readSafetensors } from '../dist/models.mjs';
import { kernelOptions, profileRun, tensorOf } from '../dist/runtime.mjs';
import { componentOf, components } from './components.mjs';
import { kernelPeak } from './kernel-peak.mjs';
import { runtimeProduct } from './runtime-product.mjs';
import { quantile } from './statistics.mjs';
import { openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const made = (name) => join(here, '..', '.dino8', 'bench-full', name);
const { values: options, positionals } = readArguments({
  threads: { type: 'string', default: '2' },
  rounds: { type: 'string', default: '5' },
  nodes: { type: 'string', default: '0' },
});
const [path = made('int8.onnx'), io = made('io.safetensors')] = positionals;
if (!existsSync(path) || !existsSync(io)) {
  console.error(
    `${existsSync(path) ? io : path} does not exist; run bench:full first, or name a model and its inputs.`,
  );
  process.exit(2);
}
const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
const RUNS = 3;
const tables = openTables(['roofline', 'roofline-peak'], {
  write: options.write,
  settings: {
    MODEL: [path, made('int8.onnx')],
    IO: [io, made('io.safetensors')],
    '--threads': [threads, 2],
    '--rounds': [rounds, 5],
  },
});

const loaded = await loadModel(path);
const tensors = await readSafetensors(io);
const inputs = loaded.model.graph.input.map(({ name }) => name).filter((name) => tensors.has(name));
const feeds = Object.fromEntries(inputs.map((name) => [name, tensorOf(tensors.get(name))]));

const peaks = [];
const productsOfRuntime = [];
const profiles = [];
while (profiles.length < rounds) {
  peaks.push(await kernelPeak(threads));
  productsOfRuntime.push(await runtimeProduct(threads));
  profiles.push(await profileRun(path, { threads, ...kernelOptions() }, feeds, RUNS));
}
const medianOf = (numbers) => quantile(numbers, 0.5);
const product = medianOf(peaks.map(({ multiplyAddsPerSecond }) => multiplyAddsPerSecond));
const registers = medianOf(peaks.map(({ onRegisters }) => onRegisters));
const ofRuntime = medianOf(productsOfRuntime);
const [{ path: kernelPath }] = peaks;
// Where the peak on registers is not measured, the product stands for it.
const peak = registers || product;

const EVERY_SEGMENT = 99;
const { modules, uncounted } = await inspectModel(loaded, { feeds, depth: EVERY_SEGMENT, profile: false });
const rows = new Map(components.map((name) => [name, { nodes: 0, integer: 0, float: 0, bytes: 0, times: [] }]));
for (const { path: module, multiplyAdds, integerMultiplyAdds } of modules) {
  const row = rows.get(componentOf(module));
  row.integer += integerMultiplyAdds;
  row.float += multiplyAdds - integerMultiplyAdds;
}
for (const [round, nodes] of profiles.entries()) {
  for (const row of rows.values()) row.times.push(0);
  for (const { name, seconds, bytes } of nodes) {
    // ONNX Runtime names a fused node after one of its parts, and a few anew; those are in the rest.
    const row = rows.get(componentOf(name.slice(0, Math.max(name.lastIndexOf('/'), 0))));
    row.times[round] += seconds / RUNS;
    if (round > 0) continue;
    row.nodes++;
    row.bytes += bytes;
  }
}
const sumOf = (some) => {
  const sum = { nodes: 0, integer: 0, float: 0, bytes: 0, times: profiles.map(() => 0) };
  for (const row of some) {
    for (const key of ['nodes', 'integer', 'float', 'bytes']) sum[key] += row[key];
    for (const [round, seconds] of row.times.entries()) sum.times[round] += seconds;
  }
  return sum;
};
const total = sumOf(rows.values());
const windows = sumOf([...rows].filter(([name]) => name.endsWith(': window attention')).map(([, row]) => row));
for (const row of [...rows.values(), total, windows]) row.seconds = medianOf(row.times);

const share = ({ integer, float, seconds }, limit) => (seconds > 0 ? (integer + float) / seconds / limit : 0);
const percent = (part) => `${(100 * part).toFixed(0)} %`;
const billions = (count) => (count > 0 ? (count / 1e9).toFixed(1) : '');
const present = ([name, row]) => [
  name,
  String(row.nodes),
  billions(row.integer),
  billions(row.float),
  (row.bytes / 1e6).toFixed(0),
  (row.seconds * 1000).toFixed(1),
  percent(row.seconds / total.seconds),
  percent(share(row, peak)),
  percent(share(row, product)),
  percent(share(row, ofRuntime)),
  (row.bytes / 1e9 / row.seconds).toFixed(1),
];
const inBillions = (rate) => (rate / 1e9).toLocaleString('en-US', { maximumFractionDigits: 0 });
const ranges = [peaks.map(({ onRegisters }) => onRegisters), productsOfRuntime, total.times].map((numbers) => [
  Math.min(...numbers),
  Math.max(...numbers),
]);
console.log(
  `${path}: ${threads} threads, ${rounds} rounds; the peak is from ${ranges[0].map(inBillions).join(' to ')}, ONNX Runtime's product ` +
    `from ${ranges[1].map(inBillions).join(' to ')}, and a run takes ${ranges[2].map((seconds) => seconds.toFixed(3)).join(' to ')} s.`,
);
const COUNTED = [
  'INT8, billions',
  'floats, billions',
  'MB',
  'ms',
  'of the time',
  'of the peak',
  'of the product',
  "of ONNX Runtime's",
  'GB/s',
];
tables.table(
  'roofline',
  ['part', 'operators', ...COUNTED],
  [
    ...[...rows].filter(([, row]) => row.nodes > 0).map(present),
    present(['whole model', total]).map((cell) => `**${cell}**`),
  ],
);
tables.text(
  'roofline-peak',
  `${threads} threads do ${inBillions(registers)} billion multiply-adds of bytes a second by \`${kernelPath}\` on registers, which is the peak, ` +
    `and ${inBillions(product)} in\ndino8's product on data in the caches. ONNX Runtime's own product, MatMulInteger, does ${inBillions(ofRuntime)}. ` +
    `The model is ${((total.integer + total.float) / 1e9).toFixed(0)} billion, in\n${total.seconds.toFixed(2)} s: ${percent(share(total, peak))} of the peak, ` +
    `${percent(share(total, product))} of dino8's product and ${percent(share(total, ofRuntime))} of ONNX Runtime's. ` +
    `Window attention of all\nstages together takes ${(1000 * windows.seconds).toFixed(1)} ms: ${percent(share(windows, peak))} of the peak, ` +
    `${percent(share(windows, product))} of dino8's product and ${percent(share(windows, ofRuntime))} of ONNX Runtime's.`,
);
if (uncounted > 0)
  console.log(`The multiply-adds of ${uncounted} nodes are missing, because their shapes are not known.`);
const secondsOf = new Map(profiles[0].map(({ name }) => [name, []]));
for (const { name, seconds } of profiles.flat()) secondsOf.get(name)?.push(seconds / RUNS);
const slowest = profiles[0]
  .map(({ name, operator }) => ({ name, operator, seconds: medianOf(secondsOf.get(name)) }))
  .toSorted((a, b) => b.seconds - a.seconds)
  .slice(0, Number(options.nodes));
for (const { name, operator, seconds } of slowest)
  console.log(`${(seconds * 1000).toFixed(2).padStart(8)} ms  ${operator}  ${name}`);
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(
  join(here, 'results', 'roofline.json'),
  JSON.stringify({ path, threads, kernelPath, peak, product, rows: Object.fromEntries(rows), total }, undefined, 1),
);
tables.finish();
