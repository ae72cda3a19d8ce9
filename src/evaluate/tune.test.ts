/** Comparison, sensitivity and tuning are tested on a small detector. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { everyImage, planCalibration } from '../data/calibration-plan.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { calibrationSamples } from '../detect/calibration-feeds.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { calibrateDataset } from '../pipeline/calibrate-dataset.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import { restrictPlan } from '../quant/restrict-plan.ts';
import { detectionAccuracy } from './accuracy.ts';
import { compareModels } from './compare.ts';
import { createVariantTimer } from './relative-timer.ts';
import { blockOf, measureSensitivity, partsOf } from './sensitivity.ts';
import { tune } from './tune.ts';

let folder: string;
let source: ModelPackage;
let dataset: CocoDataset;
let plan: QuantizationPlan;
let statistics: Statistics;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-tune-'));
  source = await readPackage(await writeSmallCheckpoint(join(folder, 'checkpoint')));
  dataset = takeImages(await readDataset(join(packageRoot, 'assets/shapes/calib')), 2);
  const full = await readRecipe('full');
  // A few parts are enough to see how they are handled.
  plan = restrictPlan(planQuantization(source.model, full), (path) =>
    /^model\.(decoder|encoder)\.layers\.0/.test(path),
  );
  ({ statistics } = await calibrateDataset(source, plan.valuesToObserve, planCalibration(dataset, 2, 0)));
});
afterAll(() => rm(folder, { recursive: true }));

const samples = () =>
  calibrationSamples(source, {
    items: dataset.images.map((image, place) => ({
      place,
      path: dataset.pathOf(image),
      phrases: ['red star', 'blue ring'],
    })),
    key: 'all images',
  });

test('a model is equal to itself, and differs from its INT8 form from the first quantized layer on', async () => {
  const same = await compareModels(source, source.model, samples());
  expect(same).toMatchObject({ figures: { overlap: 1, scoreError: 0 }, loss: 0 });
  expect(Math.min(...same.layers.map(({ decibels }) => decibels))).toBeGreaterThan(200);
  const { model } = await quantizeModel(source.model, plan, { statistics });
  const { layers, figures, samples: compared } = await compareModels(source, model, samples());
  expect(figures.overlap).toBeGreaterThan(0.9);
  expect(figures.overlap).toBeLessThan(1);
  expect(compared).toHaveLength(2);
  // The backbone comes before everything that is quantized here.
  const isExact = ({ decibels }: { decibels: number }) => decibels > 100;
  const backbone = layers.filter(({ path }) => path.startsWith('model.backbone'));
  expect(backbone.length).toBeGreaterThan(20);
  expect(backbone.every(isExact)).toBe(true);
  expect(layers.filter(({ path }) => path.startsWith('model.decoder.layers.0')).some(isExact)).toBe(false);
});

test.each([
  ['model.encoder.layers.0.fusion_layer.attn', 'model.encoder.layers.0'],
  [
    'model.backbone.conv_encoder.model.encoder.layers.2.blocks.1.output.dense',
    'model.backbone.conv_encoder.model.encoder.layers.2.blocks.1',
  ],
  ['model.text_projection', 'model.text_projection'],
])('%s belongs to the block %s', (path, block) => {
  expect(blockOf(path)).toBe(block);
});

test('a second analysis takes all parts from the cache, and tuning loses no more than allowed', async () => {
  const cache = join(folder, 'cache');
  const accuracy = await detectionAccuracy(source, dataset);
  const options = { statistics, granularity: 'block', cache, accuracy } as const;
  const inputs = calibrationSamples(source, everyImage(dataset));
  const first = await measureSensitivity(source, plan, inputs, options);
  expect(first.parts.map(({ name }) => name).toSorted()).toEqual(partsOf(plan, 'block').toSorted());
  const lines = await readFile(cache, 'utf8');
  expect(await measureSensitivity(source, plan, inputs, options)).toEqual(first);
  expect(await readFile(cache, 'utf8')).toBe(lines);

  await using timer = await createVariantTimer(source, dataset, 2);
  const {
    chosen,
    mixtures,
    recipe: tuned,
  } = await tune(source, plan, first, { ...options, samples: inputs, timer, maxDrop: 0 });
  expect(chosen.drop).toBeLessThanOrEqual(0);
  expect(mixtures.at(-1)).toMatchObject({ float: first.parts.length });
  expect(partsOf(planQuantization(source.model, tuned), 'block')).toHaveLength(first.parts.length - chosen.float);
});
