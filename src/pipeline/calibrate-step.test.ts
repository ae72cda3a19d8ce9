/** An interrupted calibration is never continued on other pictures, arrays or prompts than those it began with. */
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { exists } from '../base/files.ts';
import { packageRoot } from '../base/package-root.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { writeModel } from '../onnx/write.ts';
import { type CalibrateOptions, calibrate } from './calibrate-step.ts';

/** An array of two floats as a .npy file (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). */
function encodeNpy(...values: readonly [number, number]): Uint8Array {
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".padEnd(117).concat('\n');
  const start = Buffer.from(`\x93NUMPY\x01\x00${String.fromCharCode(header.length)}\x00${header}`, 'latin1');
  return Buffer.concat([start, new Uint8Array(Float32Array.from(values).buffer)]);
}

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-replaced-'));
});

/** Calibrates until the second sample is done, as a run that is interrupted does. */
async function interrupted(options: CalibrateOptions): Promise<void> {
  const controller = new AbortController();
  const onProgress: CalibrateOptions['onProgress'] = ({ label, done }) => {
    if (label === 'Calibrating' && done >= 2) controller.abort();
  };
  await expect(calibrate({ ...options, onProgress, signal: controller.signal })).rejects.toThrow(/abort/i);
  expect(await exists(`${options.output}.partial`)).toBe(true);
}

describe('a file that is replaced under its name is noticed', () => {
  test('a picture', async () => {
    const names = ['000001.jpg', '000002.jpg', '000003.jpg', '000004.jpg'];
    await mkdir(at('set'));
    for (const name of names) await cp(join(packageRoot, 'assets/shapes/calib', name), at('set', name));
    const model = await writeSmallCheckpoint(at('checkpoint'));
    const options = { model, dataset: at('set'), phrases: 'star', output: at('statistics.json'), images: 4 };
    await interrupted(options);
    const original = await readFile(at('set', '000001.jpg'));
    await cp(at('set', '000002.jpg'), at('set', '000001.jpg'));
    await expect(calibrate(options)).rejects.toThrow(/belongs to another calibration/);
    await writeFile(at('set', '000001.jpg'), original);
    await calibrate(options);
    await calibrate({ ...options, output: at('whole.json') });
    expect(await readFile(at('statistics.json'))).toEqual(await readFile(at('whole.json')));
  });

  test('an array', async () => {
    const b = new GraphBuilder('toy');
    const weight = b.constant(Float32Array.of(1, 2, 3, 4), [2, 2]);
    b.output('y', b.relu(b.matmul(b.input('x', DataType.FLOAT, [1, 2]), weight)));
    await writeModel(b.finish(), at('toy.onnx'));
    await mkdir(at('arrays'));
    for (const number of [1, 2, 3, 4]) await writeFile(at('arrays', `${number}.npy`), encodeNpy(number, -number));
    const options = { model: at('toy.onnx'), dataset: at('arrays'), output: at('statistics.json'), everything: true };
    await interrupted(options);
    await writeFile(at('arrays', '1.npy'), encodeNpy(9, 9));
    await expect(calibrate(options)).rejects.toThrow(/belongs to another calibration/);
  });
});
