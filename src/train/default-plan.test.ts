/** What a training chooses for itself, held against what published recipes state and what was found by hand on small data. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultPlan, type PlannedFor } from './default-plan.ts';

const published: PlannedFor = { images: 118_000, pixels: 800 * 1333, width: 256, fromScratch: false };
const bundled: PlannedFor = { images: 205, pixels: 192 * 256, width: 64, fromScratch: false };

test('a published model is trained at the rates that its authors fine-tune it at', () =>
  // MM-Grounding-DINO's configurations: AdamW at 1e-4, backbone and language model at a tenth.
  expect(defaultPlan(published)).toMatchObject({ learningRate: 1e-4, backboneRate: 0.1, scaleRate: 1 }));

test('205 photographs and the bundled model have the rate that was found by hand for them', () =>
  // bench/photographs.mjs: 12 images a step, 4e-4, backbones at the full rate.
  expect(defaultPlan(bundled)).toMatchObject({ batch: 12, accumulate: 1, learningRate: 4e-4, backboneRate: 1 }));

test('large pictures are computed one by one, and a step still has 12 of them', () =>
  expect(defaultPlan(published)).toMatchObject({ batch: 1, accumulate: 12, recompute: true }));

test('a few images are seen often, many at least once, and none more than a hundred times', () => {
  const passes = (images: number) => {
    const { steps, batch, accumulate } = defaultPlan({ ...bundled, images });
    return (steps * batch * accumulate) / images;
  };
  expect(passes(205)).toBeGreaterThan(25);
  expect(passes(1200)).toBeCloseTo(10, 5);
  for (const images of [1, 3, 20, 205, 1200, 118_000, 2_000_000]) {
    expect(passes(images)).toBeLessThanOrEqual(100);
    expect(passes(images)).toBeGreaterThan(0.99);
  }
});

test('what is given is kept, whatever else is', () => {
  const given = fc.record(
    {
      steps: fc.integer({ min: 1, max: 1e6 }),
      batch: fc.integer({ min: 1, max: 64 }),
      accumulate: fc.integer({ min: 1, max: 64 }),
      learningRate: fc.double({ min: 1e-7, max: 1, noNaN: true }),
      backboneRate: fc.double({ min: 0, max: 1, noNaN: true }),
      scaleRate: fc.double({ min: 0, max: 1, noNaN: true }),
      rise: fc.double({ min: 0, max: 1, noNaN: true }),
      averageDecay: fc.double({ min: 0, max: 1, noNaN: true }),
      recompute: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  const planned = fc.record({
    images: fc.integer({ min: 0, max: 1e7 }),
    pixels: fc.integer({ min: 1, max: 1e8 }),
    width: fc.integer({ min: 1, max: 4096 }),
    fromScratch: fc.boolean(),
  });
  fc.assert(
    fc.property(planned, given, (model, choices) => {
      const plan = defaultPlan(model, choices);
      expect(plan).toMatchObject(choices);
      expect(plan.steps).toBeGreaterThanOrEqual(1);
      expect(plan.learningRate).toBeGreaterThan(0);
      expect(plan.averageDecay).toBeGreaterThanOrEqual(0);
      expect(plan.averageDecay).toBeLessThanOrEqual(1);
    }),
  );
});

test('a batch that is given is a whole step, and the passes stay', () => {
  const { steps, accumulate } = defaultPlan(bundled, { batch: 4 });
  expect(accumulate).toBe(1);
  expect(Math.abs(steps * 4 - defaultPlan(bundled).steps * 12)).toBeLessThan(0.1 * 7200);
});

test('the average of the weights is of the last tenth of the steps', () =>
  expect(defaultPlan(bundled, { steps: 500 }).averageDecay).toBeCloseTo(1 - 1 / 50, 10));
