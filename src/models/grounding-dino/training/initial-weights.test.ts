/** Random weights depend on the seed alone, and have the size that their distribution states. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { floatData, tensorOf } from '../../../runtime/tensor.ts';
import { readHuggingFace } from '../checkpoint/hugging-face.ts';
import { initialWeights } from './initial-weights.ts';

test('initial weights depend on the seed alone, and have the distributions of their layers', async () => {
  const { tensors, config } = await readHuggingFace(join(packageRoot, 'assets/nano'));
  const [first, again, other] = [
    await initialWeights(tensors, config, 1),
    await initialWeights(tensors, config, 1),
    await initialWeights(tensors, config, 2),
  ];
  const values = (from: typeof first, name: string) => {
    const stored = from.get(name);
    if (!stored) throw new Error(`there is no ${name}`);
    expect(stored.shape).toEqual(tensors.get(name)?.shape);
    return floatData(tensorOf(stored));
  };
  expect([...first.keys()]).toEqual([...tensors.keys()]);
  const layer = 'model.encoder.layers.0.deformable_layer';
  const matrix = `${layer}.fc1.weight`;
  expect(values(again, matrix)).toEqual(values(first, matrix));
  expect(values(other, matrix)).not.toEqual(values(first, matrix));
  // Glorot and Bengio: uniform up to √(6 / (inputs + outputs)), whose variance is a third of the square.
  const [limit, drawn] = [Math.sqrt(6 / (64 + 256)), values(first, matrix)];
  expect(Math.max(...drawn.map(Math.abs))).toBeLessThanOrEqual(limit);
  const variance = drawn.reduce((sum, value) => sum + value * value, 0) / drawn.length;
  expect(variance / (limit ** 2 / 3)).toBeCloseTo(1, 1);
  const every = (name: string, expected: number) =>
    expect(values(first, name).every((value) => value === expected)).toBe(true);
  every(`${layer}.final_layer_norm.weight`, 1);
  every(`${layer}.final_layer_norm.bias`, 0);
  every(`${layer}.self_attn.sampling_offsets.weight`, 0);
  every('bbox_embed.0.layers.2.weight', 0);
  // The first head looks to the right, one step further with each point.
  expect([...values(first, `${layer}.self_attn.sampling_offsets.bias`).slice(0, 8)]).toEqual([1, 0, 2, 0, 3, 0, 4, 0]);
});
