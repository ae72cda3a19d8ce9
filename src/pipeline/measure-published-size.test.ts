/** A checkpoint of any size with random weights: its tensors are those that transformers writes, and its files are removed. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exists } from '../base/files.ts';
import { packageRoot } from '../base/package-root.ts';
import { readSafetensors } from '../models/checkpoint/safetensors.ts';
import { findFamily } from '../models/families.ts';
import { trainingOf } from '../models/family.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { buildPackage, readCheckpoint } from '../models/package/package.ts';
import { writeRandomCheckpoint } from '../train/write-random-checkpoint.ts';
import { measurePublishedSize } from './measure-published-size.ts';

const nano = await readCheckpoint(join(packageRoot, 'assets/nano'));
const folder = await mkdtemp(join(tmpdir(), 'dino8-published-'));
const at = (name: string) => join(folder, name);
const small = await readCheckpoint(await writeSmallCheckpoint(at('small')));

test('the tensors that follow from a configuration are those of a checkpoint that transformers wrote', async () => {
  const stored = await readSafetensors(join(packageRoot, 'assets/nano/model.safetensors'));
  for (const [name, shape] of trainingOf(nano).tensorShapes()) expect(stored.get(name)?.shape, name).toEqual(shape);
});

test('the published configuration has the parameters of grounding-dino-tiny', () => {
  const { publishedConfig, open } = findFamily(nano.files.config, nano.source);
  const family = open(publishedConfig, nano.preprocessing, 'the published size');
  const shapes = [...trainingOf({ family, source: 'the published size' }).tensorShapes().values()];
  const count = shapes.reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
  // transformers 5.18: sum(p.numel() for p in GroundingDinoForObjectDetection(GroundingDinoConfig(SwinConfig(...))).parameters()),
  // without the pooler of BERT and the last normalisation of Swin, which are not computed.
  expect(count).toBe(172_249_090);
});

test('the same seed writes the same weights, which build a model', async () => {
  await writeRandomCheckpoint(small, at('a'), { seed: 1 });
  await writeRandomCheckpoint(small, at('b'), { seed: 1 });
  await writeRandomCheckpoint(small, at('c'), { seed: 2 });
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => readFile(at(join(name, 'model.safetensors')))));
  expect(a?.equals(b ?? Buffer.alloc(0))).toBe(true);
  expect(a?.equals(c ?? Buffer.alloc(0))).toBe(false);
  const { model } = await buildPackage(await readCheckpoint(at('a')));
  expect(model.graph.node.length).toBeGreaterThan(100);
});

test('INT8 is smaller, and no file is left, of an interrupted measurement neither', async () => {
  const config = small.files.config as object; // a JSON object, as read
  const common = { folder: at('scratch'), companions: small, config, size: { height: 64, width: 96 }, rounds: 1 };
  const phases: string[] = [];
  const { variants } = await measurePublishedSize({
    ...common,
    phase: (name) => {
      phases.push(name);
      return {};
    },
  });
  expect(phases).toHaveLength(4);
  const [float, int8] = variants;
  expect((float?.fileBytes ?? 0) / (int8?.fileBytes ?? 0)).toBeGreaterThan(1.2);
  expect(await exists(common.folder)).toBe(false);
  const stop = () => ({ signal: AbortSignal.abort(new Error('stopped')) });
  await expect(measurePublishedSize({ ...common, phase: stop })).rejects.toThrow('stopped');
  expect(await exists(common.folder)).toBe(false);
});
