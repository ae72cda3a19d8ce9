// Measures a model with the shape of grounding-dino-base (Swin-B, 232 million parameters, random weights) at 480x640 with a prompt of 20
// phrases, on two threads: Hugging Face's export, FP32 and INT8, each in processes of its own, in turns.
//
//   PYTHON=…/bin/python node bench/swin-b.mjs [--write]
//
// PYTHON has torch, transformers, onnx, onnxruntime and safetensors. ROUNDS (3) is the number of processes of a contender, RUNS (3) that of
// timed runs in each. The models are kept in .dino8/bench-base (some 4 GB). --write puts the table into docs/performance.md.
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addTokenizer, modelFolder, peer, run, runForJson, step } from './full-models.mjs';
import { inTurns, quantile } from './statistics.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { at, kept, inNewFolder } = modelFolder('bench-base');
const python = process.env.PYTHON;
const [ROUNDS, RUNS, THREADS] = [Number(process.env.ROUNDS ?? 3), process.env.RUNS ?? '3', '2'];
const { values: options } = readArguments();
const tables = openTables(['swin-b', 'swin-b-making'], {
  write: options.write,
  settings: { ROUNDS: [ROUNDS, 3], RUNS: [RUNS, '3'] },
});
if (!existsSync(python ?? ''))
  misuse('Set PYTHON to a Python that has torch, transformers, onnx, onnxruntime and safetensors.');

const EXPORTED = ['model.onnx', 'hf', 'io.safetensors'];
kept('io.safetensors', true, () =>
  inNewFolder(at('.'), EXPORTED, (to) => {
    const shape = ['--backbone', 'swin-b', '--height', '480', '--width', '640', '--phrases', '20'];
    return void run(python, [peer('export_hf.py'), to, ...shape]);
  }),
);
addTokenizer(at('hf'));
const images = join(here, '..', 'assets', 'shapes', 'calib');
const converted = kept('fp32.onnx', false, () => step('convert', at('hf'), at('fp32.onnx')));
const quantized = kept('dynamic.onnx', false, () => step('quantize', at('fp32.onnx'), at('dynamic.onnx')));
kept('fast.onnx', false, () => step('calibrate', at('fp32.onnx'), at('fast.onnx'), images));
const agreement = kept('agreement.json', false, () => {
  const found = step('compare', at('fp32.onnx'), at('io.safetensors'));
  writeFileSync(at('agreement.json'), JSON.stringify(found));
  return found;
});

const ours = (name, model) => ({ name, model: at(model), command: [process.execPath, join(here, 'contender.mjs')] });
const contenders = [
  { name: 'Hugging Face export, FP32', model: at('model.onnx'), command: [python, peer('bench_ort.py')] },
  ours('dino8 FP32', 'fp32.onnx'),
  ours('dino8 INT8 (`dynamic`)', 'dynamic.onnx'),
  ours('dino8 INT8 (`fast`)', 'fast.onnx'),
];
const results = inTurns(contenders, ROUNDS, ({ model, command: [program, script] }) =>
  runForJson(program, [script, model, at('io.safetensors'), RUNS, THREADS]),
);
const base = quantile(results[0].seconds, 0.5);
const megabytes = (number) => `${Math.round(number).toLocaleString('en-US')} MB`;
tables.table(
  'swin-b',
  ['', 'median', 'range', 'of the export', 'peak memory', 'load', 'file'],
  results.map(({ name, seconds, peaks, loads }, index) => [
    name,
    `${quantile(seconds, 0.5).toFixed(2)} s`,
    `${Math.min(...seconds).toFixed(2)}–${Math.max(...seconds).toFixed(2)}`,
    (quantile(seconds, 0.5) / base).toFixed(2),
    megabytes(quantile(peaks, 0.5)),
    `${quantile(loads, 0.5).toFixed(1)} s`,
    megabytes(statSync(contenders[index].model).size / 1e6),
  ]),
);
const checkpoint = statSync(at('hf/model.safetensors')).size;
tables.text(
  'swin-b-making',
  `Converting takes ${converted.seconds.toFixed(1)} s with a peak of ${(converted.peakBytes / checkpoint).toFixed(1)}x the checkpoint of ` +
    `${megabytes(checkpoint / 1e6)}, and quantizing by \`dynamic\` ${quantized.seconds.toFixed(1)} s.\nThe logits agree with PyTorch's to ` +
    `${agreement.logits.toExponential(1)} and the boxes to ${agreement.boxes.toExponential(1)}; ${agreement.moved} of the 900 queries changed places.`,
);
tables.finish();
