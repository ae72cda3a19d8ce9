// Measures all contenders in one run, each in processes of its own, in turns so that a drift of the machine affects all.
//
//   npm run bench                the bundled model at 192x256
//   PYTHON=…/bin/python npm run bench     with the peers: a Python that has torch, transformers and onnxruntime
//   PYTHON=… npm run bench -- --write     puts the table into docs/performance.md, too
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inTurns, quantile } from './statistics.mjs';
import { openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const work = join(root, '.dino8', 'bench');
const assets = join(root, 'assets');
const threads = String(availableParallelism());
const python = process.env.PYTHON;
const ROUNDS = 5;
const RUNS = '20';
const { values: options } = readArguments();
const tables = openTables(['peers'], {
  write: options.write,
  settings: { 'the number of threads': [threads, 2] },
  needs: { 'PYTHON, a Python that has torch, transformers and onnxruntime': existsSync(python ?? '') },
});

mkdirSync(work, { recursive: true });
const run = (command, args) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 }).toString();
const dino8 = (...args) => run(process.execPath, [join(root, 'dist/cli.mjs'), ...args]);
const at = (name) => join(work, name);

const contenders = [];
dino8('convert', join(assets, 'nano'), '-o', at('fp32.onnx'));
dino8('calibrate', at('fp32.onnx'), join(assets, 'shapes/calib'), '--images', '128', '-o', at('statistics.json'));
const RECIPES = ['dynamic', 'static', 'mixed', 'fast'];
for (const recipe of RECIPES)
  dino8(
    'quantize',
    at('fp32.onnx'),
    '--recipe',
    recipe,
    '--statistics',
    at('statistics.json'),
    '-o',
    at(`${recipe}.onnx`),
  );
for (const name of ['fp32', ...RECIPES])
  contenders.push({
    name: name === 'fp32' ? 'dino8 FP32' : `dino8 \`${name}\``,
    model: at(`${name}.onnx`),
    command: [process.execPath, join(here, 'contender.mjs')],
  });

const EXPORT = 'Hugging Face export, FP32';
const peer = (script) => join(here, 'peers', script);
if (python && existsSync(python)) {
  const shape = ['--checkpoint', join(assets, 'nano'), '--height', '192', '--width', '256', '--phrases', '62'];
  run(python, [peer('export_hf.py'), at('peer'), ...shape]);
  run(python, [peer('quantize_ort.py'), at('peer/model.onnx'), at('peer/dynamic.onnx')]);
  const command = [python, peer('bench_ort.py')];
  contenders.push({ name: EXPORT, model: at('peer/model.onnx'), command });
  contenders.push({ name: "… with onnxruntime.quantization's dynamic INT8", model: at('peer/dynamic.onnx'), command });
} else {
  console.log(
    'The peers are left out: set PYTHON to a Python that has torch, transformers and onnxruntime to compare with them.',
  );
}
const io = existsSync(at('peer/io.safetensors'))
  ? at('peer/io.safetensors')
  : join(root, 'test/fixtures/golden/nano/all_phrases.safetensors');

const results = inTurns(contenders, ROUNDS, ({ model, command: [program, script] }) =>
  JSON.parse(run(program, [script, model, io, RUNS, threads]).trim().split('\n').at(-1)),
).map((result, index) => ({ ...result, bytes: statSync(contenders[index].model).size }));

const reference = results.find(({ name }) => name === EXPORT) ?? results[0];
const base = quantile(reference.seconds, 0.5);
console.log(`${cpus()[0].model.trim()}, ${threads} threads, ${ROUNDS} processes of ${RUNS} runs each`);
tables.table(
  'peers',
  [
    '',
    'median',
    '10 % … 90 %',
    reference.name === EXPORT ? 'against the export' : `against ${reference.name}`,
    'peak memory',
    'file',
  ],
  results.map(({ name, bytes, seconds, peaks }) => {
    const [low, median, high] = [0.1, 0.5, 0.9].map((share) => quantile(seconds, share));
    return [
      name,
      `${(median * 1000).toFixed(1)} ms`,
      `${(low * 1000).toFixed(1)} … ${(high * 1000).toFixed(1)}`,
      `${(base / median).toFixed(2)}x`,
      `${quantile(peaks, 0.5)} MB`,
      `${(bytes / 1e6).toFixed(1)} MB`,
    ];
  }),
);
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(join(here, 'results', 'nano.json'), JSON.stringify(results, undefined, 1));
tables.finish();
