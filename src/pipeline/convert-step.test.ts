/** The options of checkpoints reach the reader through the steps, and what was found is a notice. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { readSafetensors } from '../models/checkpoint/safetensors.ts';
import { writeSafetensors } from '../models/checkpoint/write-safetensors.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { loadModel, readPackage } from '../models/package/package.ts';
import { copyModel } from '../onnx/copy.ts';
import { modelHash } from '../onnx/hash.ts';
import { setMetadata } from '../onnx/metadata.ts';
import { convert } from './convert-step.ts';
import { explainRecipe } from './quantize-step.ts';

let folder: string;
let checkpoint: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-convert-'));
  checkpoint = await writeSmallCheckpoint(at('small'));
  // The averages are zeros beside the weights, as Lightning's callbacks save them.
  const tensors = await readSafetensors(join(checkpoint, 'model.safetensors'));
  const both = [...tensors].flatMap(([name, tensor]) => [
    [`model.${name}`, tensor] as const,
    [`ema_model.${name}`, { ...tensor, bytes: new Uint8Array(tensor.bytes.length) }] as const,
  ]);
  await writeSafetensors(new Map(both), at('training.ckpt'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('the weights are taken, and a notice tells of the average', async () => {
  const notices: string[] = [];
  const onNotice = (sentence: string) => notices.push(sentence);
  await convert({ checkpoint: at('training.ckpt'), tokenizer: checkpoint, output: at('weights.onnx'), onNotice });
  expect(notices).toContainEqual(
    expect.stringMatching(/also holds a running average \(EMA\).*ema_model\.\*.*`ema` takes/),
  );
});

test('`ema` takes the average', async () => {
  const notices: string[] = [];
  const options = { ema: true, tokenizer: checkpoint, onNotice: (sentence: string) => notices.push(sentence) };
  await convert({ checkpoint: at('training.ckpt'), output: at('average.onnx'), ...options });
  expect(notices.filter((sentence) => sentence.includes('EMA'))).toEqual([]);
  const [weights, average] = [await loadModel(at('weights.onnx')), await loadModel(at('average.onnx'))];
  expect(modelHash(weights.model)).not.toBe(modelHash(average.model));
  const layers = await explainRecipe({ model: at('training.ckpt'), recipe: 'dynamic', ...options });
  expect(layers.length).toBeGreaterThan(0);
});

test('the options are refused for a model that is built, by its path or as an object', async () => {
  for (const model of [at('weights.onnx'), await readPackage(checkpoint)])
    for (const options of [{ ema: true }, { tokenizer: checkpoint }]) {
      const converting = convert({ checkpoint: model, output: at('again.onnx'), ...options });
      await expect(converting).rejects.toThrow(UsageError);
      await expect(converting).rejects.toThrow(/is for checkpoints/);
    }
});

test('a model whose own runtime would compute something else is not written again', async () => {
  const built = await readPackage(checkpoint);
  const model = copyModel(built.model);
  const layers = { float: 0, dynamic: 0, static: 1, 'weight-only': 0, activations: {} };
  // As files for TensorRT were before they had a portable form.
  const summary = { recipe: 'static', target: 'tensorrt', layers, techniques: [], floatLayers: [] };
  setMetadata(model, 'dino8.quantization', JSON.stringify(summary));
  const output = at('again.onnx');
  await expect(convert({ checkpoint: { ...built, model }, output })).rejects.toThrow(
    /again\.onnx is not written, because TensorRT would refuse or miscompute it in \d+ places/,
  );
  expect(existsSync(output)).toBe(false);
});
