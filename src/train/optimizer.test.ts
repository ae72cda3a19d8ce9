/** Three steps are compared with torch.optim.AdamW and clip_grad_norm_ (torch 2.13); averages and sums with their definition. */
import { expect, test } from 'vitest';
import { Optimizer } from './optimizer.ts';
import { ParameterStore } from './parameter-store.ts';

const GRADIENTS = [
  [0.1, -0.2, 0.3, 4],
  [1, 0, -0.5, 0.2],
  [-2, 0.3, 0.1, 0.1],
];
/** PyTorch's weights after each step: lr 1e-2, weight decay 0.1, the gradient clipped to a norm of 1. */
const WEIGHTS = [
  [0.4895000159740448, -0.9890000224113464, 1.9880000352859497, 0.08990000188350677],
  [0.4813828468322754, -0.9813104867935181, 1.9922287464141846, 0.08191543072462082],
  [0.48174193501472473, -0.9847344756126404, 1.9943110942840576, 0.0754266008734703],
];

const SETTINGS = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 1, averageDecay: 0.5 };

function storeOf(weightDecay: number): ParameterStore {
  const parameter = { name: 'w', input: 'w', gradient: 'w.gradient', shape: [4], group: 'all' };
  const store = new ParameterStore([parameter], [{ name: 'all', rate: 1, weightDecay }]);
  store.blocks.weights.set([0.5, -1, 2, 0.1]);
  return store;
}

test("steps agree with PyTorch's AdamW", async () => {
  await using optimizer = await Optimizer.create(SETTINGS);
  const store = storeOf(0.1);
  for (const [index, gradient] of GRADIENTS.entries()) {
    store.gradients.set(gradient);
    const norm = await optimizer.norm(store);
    expect(norm).toBeCloseTo(Math.hypot(...gradient), 5);
    await optimizer.step(store, { step: index + 1, rate: 1e-2, norm, factor: 1, frozen: [] });
    for (const [place, weight] of (WEIGHTS[index] ?? []).entries())
      expect(store.blocks.weights[place]).toBeCloseTo(weight, 6);
  }
});

test('accumulated gradients are averaged before they are clipped, and frozen groups do not change', async () => {
  await using optimizer = await Optimizer.create(SETTINGS);
  const [once, twice] = [storeOf(0), storeOf(0)];
  once.gradients.set([1, 2, -3, 4]);
  await optimizer.step(once, { step: 1, rate: 1e-2, norm: await optimizer.norm(once), factor: 1, frozen: [] });
  twice.gradients.set([0.5, 1, -1, 6]);
  await optimizer.accumulate(twice.gradients, Float32Array.of(1.5, 3, -5, 2));
  expect([...twice.gradients]).toEqual([2, 4, -6, 8]);
  const doubled = await optimizer.norm(twice);
  await optimizer.step(twice, { step: 1, rate: 1e-2, norm: doubled, factor: 0.5, frozen: [] });
  for (const [place, weight] of once.blocks.weights.entries())
    expect(twice.blocks.weights[place]).toBeCloseTo(weight, 7);
  const before = [...twice.blocks.weights];
  await optimizer.step(twice, { step: 2, rate: 1e-2, norm: doubled, factor: 0.5, frozen: ['all'] });
  expect([...twice.blocks.weights]).toEqual(before);
});

test('the norm is finite if squares of the gradient overflow, and not finite if the gradient is not a number', async () => {
  await using optimizer = await Optimizer.create(SETTINGS);
  const store = storeOf(0);
  store.gradients.set([1e25, 0, 0, -1e25]);
  expect((await optimizer.norm(store)) / 1e25).toBeCloseTo(Math.SQRT2, 5);
  store.gradients.set([Number.NaN, 0, 0, 1]);
  expect(await optimizer.norm(store)).toBeNaN();
});
