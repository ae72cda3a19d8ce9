/** What does not belong together is not compared, and what may mislead is said. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundledValidation } from '../data/bundled.ts';
import { takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { readSafetensors } from '../models/checkpoint/safetensors.ts';
import { writeSafetensors } from '../models/checkpoint/write-safetensors.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { compare } from './compare-step.ts';
import { convert } from './convert-step.ts';
import { quantize } from './quantize-step.ts';
import { specializeModel } from './specialize-step.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const notices: string[] = [];
const compared = async (model: string, quantized: string) => {
  notices.length = 0;
  const dataset = takeImages(await readDataset(bundledValidation()), 1);
  const onNotice = (sentence: string) => notices.push(sentence);
  return compare({ model: at(model), quantized: at(quantized), dataset, accuracy: false, onNotice });
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-compare-'));
  await convert({ checkpoint: await writeSmallCheckpoint(at('checkpoint')), output: at('fp32.onnx') });
  await quantize({ model: at('fp32.onnx'), recipe: 'dynamic', output: at('int8.onnx') });
});
afterAll(() => rm(folder, { recursive: true }));

test('a float model and its quantized form are compared without a notice', async () => {
  const { phrases = [] } = await compared('fp32.onnx', 'int8.onnx');
  expect(notices).toEqual([]);
  expect(phrases.length).toBeGreaterThan(10);
});

test('the quantized model in the first place is refused, and named', async () => {
  await expect(compared('int8.onnx', 'fp32.onnx')).rejects.toThrow(
    /int8\.onnx is quantized and \S+fp32\.onnx is not, while the float model comes first/,
  );
});

test('a model for fixed phrases is refused in both places', async () => {
  const size = { height: 64, width: 96 };
  await specializeModel({ model: at('fp32.onnx'), output: at('fixed.onnx'), ...size, phrases: ['red circle'] });
  const message = /fixed\.onnx is made for the phrases "red circle"/;
  await expect(compared('fp32.onnx', 'fixed.onnx')).rejects.toThrow(message);
  await expect(compared('fixed.onnx', 'int8.onnx')).rejects.toThrow(message);
});

test('models of different weights are compared with a notice', async () => {
  await cp(at('checkpoint'), at('tuned'), { recursive: true });
  const path = join(at('tuned'), 'model.safetensors');
  const tensors = new Map(await readSafetensors(path));
  const [name, tensor] = [...tensors][0] ?? [];
  if (name === undefined || tensor === undefined) throw new Error('there are tensors');
  tensors.set(name, { ...tensor, bytes: tensor.bytes.map((byte) => byte ^ 1) });
  await writeSafetensors(tensors, path);
  await compared('tuned', 'int8.onnx');
  expect(notices).toEqual([expect.stringMatching(/tuned and \S+int8\.onnx were made from different weights/)]);
});
