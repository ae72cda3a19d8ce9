// Measures the published size (Swin-T, 800x1333, 189 tokens, 2 threads) beside the tools that users have today, in one run,
// each contender in processes of its own, in turns.
//
//   PYTHON=…/bin/python npm run bench:full     (torch, transformers, onnx, onnxruntime, safetensors installed)
//
// The checkpoint has random weights of the published shape: speed and memory do not depend on them.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inTurns, quantile } from './statistics.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const work = join(root, '.dino8', 'bench-full');
const python = process.env.PYTHON;
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const RUNS = '3';
const THREADS = '2';

if (!python || !existsSync(python)) {
  console.log('Left out: set PYTHON to a Python that has torch, transformers, onnx, onnxruntime and safetensors.');
  process.exit(0);
}
mkdirSync(work, { recursive: true });
const at = (name) => join(work, name);
const peer = (script) => join(here, 'peers', script);
const run = (command, args) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 }).toString();
const last = (text) => text.trim().split('\n').at(-1);

if (!existsSync(at('io.safetensors'))) run(python, [peer('export_hf.py'), work]);
// Calibration reads prompts; which words they have does not matter here.
for (const name of ['tokenizer.json', 'tokenizer_config.json'])
  copyFileSync(join(root, 'assets/nano', name), at(`hf/${name}`));
const step = (name, ...args) => JSON.parse(last(run(process.execPath, [join(here, 'full-step.mjs'), name, ...args])));
const converted = step('convert', at('hf'), at('fp32.onnx'));
const quantized = step('quantize', at('fp32.onnx'), at('dynamic8.onnx'));
const shapes = (part) => join(root, 'assets/shapes', part);
step('widen', shapes('calib'), shapes('annotations/instances_calib.json'), at('calib'));
const calibrated = step('calibrate', at('fp32.onnx'), at('int8.onnx'), at('calib'));
const { tokens } = step('specialize', at('int8.onnx'), at('int8.specialized.onnx'), at('io.safetensors'));
const peerQuantized = Number(
  last(run(python, [peer('quantize_ort.py'), at('model.onnx'), at('dynamic.onnx')]))
    .split(' ')
    .at(-1),
);
const agreement = step('compare', at('fp32.onnx'), at('io.safetensors'));

const ours = [process.execPath, join(here, 'contender.mjs')];
const theirs = [python, peer('bench_ort.py')];
const contenders = [
  { name: 'HF export FP32', model: at('model.onnx'), command: theirs },
  { name: 'onnxruntime.quantization dynamic', model: at('dynamic.onnx'), command: theirs },
  { name: 'dino8 FP32', model: at('fp32.onnx'), command: ours },
  { name: 'dino8 INT8 (fast)', model: at('int8.onnx'), command: ours },
  { name: 'dino8 INT8 (dynamic)', model: at('dynamic8.onnx'), command: ours },
  { name: 'dino8 INT8 (fast), specialised', model: at('int8.specialized.onnx'), command: ours },
  // The same file without dino8: no kernels, Python's ONNX Runtime.
  { name: 'dino8 INT8 (fast) in Python', model: at('int8.onnx'), command: theirs },
];
const results = inTurns(contenders, ROUNDS, ({ model, command: [program, script] }) =>
  JSON.parse(last(run(program, [script, model, at('io.safetensors'), RUNS, THREADS]))),
).map((result, index) => ({ ...result, bytes: statSync(contenders[index].model).size }));

const median = (index, key) => quantile(results[index][key], 0.5);
console.log(
  `${cpus()[0].model.trim()}, ${THREADS} threads, 800x1333, ${tokens} tokens, ${ROUNDS} processes of ${RUNS} runs each`,
);
console.table(
  Object.fromEntries(
    results.map(({ name, bytes, seconds, peaks, loads }) => [
      name,
      {
        'median s': quantile(seconds, 0.5).toFixed(2),
        range: `${Math.min(...seconds).toFixed(2)}–${Math.max(...seconds).toFixed(2)}`,
        'peak MB': quantile(peaks, 0.5),
        'load s': quantile(loads, 0.5).toFixed(2),
        'file MB': (bytes / 1e6).toFixed(1),
      },
    ]),
  ),
);
const ratio = (index, other, key) => (median(index, key) / median(other, key)).toFixed(3);
console.table({
  'FP32 dino8 / FP32 HF export, time': { measured: ratio(2, 0, 'seconds'), 'to reach': '≤ 0.70' },
  'INT8 dino8 / FP32 HF export, time': { measured: ratio(3, 0, 'seconds'), 'to reach': '≤ 0.33' },
  'INT8 dino8 / dynamic INT8 of onnxruntime.quantization, time': {
    measured: ratio(3, 1, 'seconds'),
    'to reach': '≤ 0.50',
  },
  'INT8 dino8 / FP32 HF export, peak memory': { measured: ratio(3, 0, 'peaks'), 'to reach': '≤ 0.30' },
  'INT8 model file / FP32': { measured: (results[3].bytes / results[0].bytes).toFixed(3), 'to reach': '≤ 0.27' },
  'INT8 (dynamic) dino8 / FP32 HF export, time': { measured: ratio(4, 0, 'seconds'), 'to reach': '' },
  'INT8 (dynamic) dino8 / dynamic INT8 of onnxruntime.quantization, time': {
    measured: ratio(4, 1, 'seconds'),
    'to reach': '',
  },
  'quantizing dino8 / onnxruntime.quantization, time': {
    measured: (quantized.seconds / peerQuantized).toFixed(3),
    'to reach': '≤ 0.30',
  },
  'converting, seconds': { measured: converted.seconds.toFixed(1), 'to reach': '< 20' },
  'converting, peak memory / checkpoint': {
    measured: (converted.peakBytes / statSync(at('hf/model.safetensors')).size).toFixed(2),
    'to reach': '< 2.5',
  },
  'calibrating on 3 images and quantizing, peak memory / running the model': {
    measured: (calibrated.peakBytes / 2 ** 20 / median(2, 'peaks')).toFixed(2),
    'to reach': '≤ 1.50',
  },
  'largest difference of logits to HF': { measured: agreement.logits.toExponential(1), 'to reach': '≤ 2e-3' },
  'largest difference of boxes to HF': { measured: agreement.boxes.toExponential(1), 'to reach': '≤ 1e-4' },
  'queries of 900 whose equal proposals changed places': { measured: String(agreement.moved), 'to reach': '' },
});
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(
  join(here, 'results', 'full.json'),
  JSON.stringify({ results, converted, quantized, calibrated, peerQuantized, agreement }, undefined, 1),
);
