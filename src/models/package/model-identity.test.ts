/** Models of one checkpoint know each other in every form, and those of two fine-tunes of one configuration do not. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { quantize } from '../../pipeline/quantize-step.ts';
import { readSafetensors } from '../checkpoint/safetensors.ts';
import { writeSafetensors } from '../checkpoint/write-safetensors.ts';
import { writeSmallCheckpoint } from '../grounding-dino/testing/small-checkpoint.ts';
import { identifyModel, type ModelIdentity } from './model-identity.ts';
import { type ModelPackage, readPackage, writePackage } from './package.ts';

let folder: string;
let float: ModelPackage;
let identity: ModelIdentity;
const at = (name: string) => join(folder, name);
const identityOf = async (path: string) => identifyModel((await readPackage(path)).model);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-identity-'));
  float = await readPackage(await writeSmallCheckpoint(at('first')));
  identity = identifyModel(float.model);
});
afterAll(() => rm(folder, { recursive: true }));

test.each(['one.onnx', 'halves', 'combined'] as const)('a model written to %s is the same one', async (name) => {
  await writePackage(float, at(name), name === 'halves' ? 'halves' : 'combined');
  const { modelHash, ...others } = await identityOf(at(name));
  expect(others).toEqual({ network: identity.network, weights: identity.weights });
  // The halves are joined again to a graph whose nodes may be in another order.
  if (name !== 'halves') expect(modelHash).toBe(identity.modelHash);
});

test('a quantized model is another model of the same weights', async () => {
  await quantize({ model: float, recipe: 'dynamic', output: at('int8.onnx') });
  const { modelHash, ...others } = await identityOf(at('int8.onnx'));
  expect(others).toEqual({ network: identity.network, weights: identity.weights });
  expect(modelHash).not.toBe(identity.modelHash);
});

test('one changed weight is another checkpoint, and another order of tensors is not', async () => {
  const path = 'model.safetensors';
  const tensors = [...(await readSafetensors(join(at('first'), path)))];
  await cp(at('first'), at('reversed'), { recursive: true });
  await writeSafetensors(new Map(tensors.toReversed()), join(at('reversed'), path));
  expect(await identityOf(at('reversed'))).toMatchObject({ network: identity.network, weights: identity.weights });
  const changed = tensors.map(([name, tensor], index) => {
    const bytes = tensor.bytes.slice();
    if (index === tensors.length - 1) bytes[0] = (bytes[0] ?? 0) ^ 1;
    return [name, { ...tensor, bytes }] as const;
  });
  await cp(at('first'), at('tuned'), { recursive: true });
  await writeSafetensors(new Map(changed), join(at('tuned'), path));
  const { network, weights } = await identityOf(at('tuned'));
  expect(network).toBe(identity.network);
  expect(weights).not.toBe(identity.weights);
});
