/** dino8's models in OpenVINO find the boxes that they find in ONNX Runtime, by the scripts of the bundle. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { bundledCalibration } from '../src/data/bundled.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { readModel } from '../src/onnx/read.ts';
import { lint } from '../src/pipeline/lint-step.ts';
import { exportOpenVino } from '../src/pipeline/openvino/export-openvino.ts';
import { quantize } from '../src/pipeline/quantize-step.ts';

const python = process.env.PYTHON ?? 'python3';
const run = promisify(execFile);
const hasOpenVino = await run(python, ['-c', 'import openvino, numpy, PIL']).then(
  () => true,
  () => false,
);

const folder = mkdtempSync(join(tmpdir(), 'dino8-openvino-'));
afterAll(() => rmSync(folder, { recursive: true }));
const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
const PHRASES = ['white star', 'orange ring', 'red circle'];
const float = join(folder, 'float');
const integers = join(folder, 'int8');

beforeAll(async () => {
  const asked = { phrases: PHRASES, picture, threads: 1 };
  const model = join(folder, 'small.openvino.onnx');
  await quantize({
    model: await writeSmallCheckpoint(join(folder, 'checkpoint')),
    output: model,
    recipe: 'static',
    target: 'openvino',
    calibration: bundledCalibration(),
    calibrationImages: 2,
    threads: 1,
  });
  const made = await exportOpenVino({ ...asked, model, output: integers, sizes: [96] });
  expect(made).toMatchObject({ precision: 'int8', engines: [{ name: '96x96' }] });
});

test('a bundle has models that OpenVINO takes by its tables, without functions and text', async () => {
  expect(readdirSync(integers).toSorted()).toEqual([
    'README.md',
    'bundle.json',
    'compare.py',
    'detection.py',
    'golden.json',
    'model.onnx',
    'run.py',
    'runtime.py',
  ]);
  const path = join(integers, 'model.onnx');
  expect((await lint({ model: path, target: 'openvino' })).findings).toEqual([]);
  const { graph, functions } = await readModel(path);
  expect([graph.input.map((each) => each.name), functions.length]).toEqual([['pixel_values'], 0]);
  expect(graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length).toBeGreaterThan(10);
});

describe.skipIf(!hasOpenVino)('in OpenVINO', () => {
  beforeAll(async () => {
    await exportOpenVino({
      phrases: PHRASES,
      picture,
      threads: 1,
      model: join(packageRoot, 'assets/nano'),
      output: float,
      sizes: [{ height: 192, width: 256 }],
    });
  });

  test.each([
    ['the float model', float],
    ['the model in INT8', integers],
  ])('%s finds the boxes of the check', async (_, bundle) => {
    const { stdout } = await run(python, [join(bundle, 'compare.py'), '--precision', 'f32']);
    // Every box, in float; and in INT8 what the limits of the check ask for.
    expect(stdout).toMatch(bundle === float ? /^(\d+) of the \1 boxes/ : /^\d+ of the \d+ boxes/);
  });

  test('run.py prints boxes', async () => {
    const { stdout } = await run(python, [join(float, 'run.py'), '--precision', 'f32', '--threshold', '0.3', picture]);
    const { detections } = JSON.parse(stdout);
    expect(detections.length).toBeGreaterThan(1);
    for (const { label } of detections) expect(PHRASES).toContain(label);
  });
});
