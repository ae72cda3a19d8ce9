/** Quantized models find the same boxes in the engine as by ONNX Runtime with dino8's kernels. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { maximum } from '../../base/append.ts';
import { packageRoot } from '../../base/package-root.ts';
import { planCalibration } from '../../data/calibration-plan.ts';
import { readDataset } from '../../data/datasets/read-dataset.ts';
import { readImage } from '../../data/image.ts';
import type { BaseDetector, Detection } from '../../detect/base-detector.ts';
import { calibrationSamples } from '../../detect/calibration-feeds.ts';
import { Detector } from '../../detect/detector.ts';
import { fixPrompt } from '../../detect/fix-prompt.ts';
import { detectionOf } from '../../models/family.ts';
import { type ModelPackage, readPackage } from '../../models/package/package.ts';
import { parseModel } from '../../onnx/parse.ts';
import { modelBytes } from '../../onnx/write.ts';
import { agreement, expectedBoxes } from '../../pipeline/bundles/golden.ts';
import { calibrateDataset } from '../../pipeline/calibrate-dataset.ts';
import { engineFiles } from '../../pipeline/web/engine-files.ts';
import { webPackage } from '../../pipeline/web/web-models.ts';
import { valuesToObserve } from '../../quant/plan.ts';
import { quantizeModel } from '../../quant/quantize.ts';
import { readRecipe } from '../../quant/recipe.ts';
import type { RunResults } from '../../runtime/model-runner.ts';
import { Session } from '../../runtime/session.ts';
import { describeTensor, floatData, integers, type Tensor } from '../../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../../testing/difference.ts';
import { hasKernels, withKernels } from '../../testing/kernels.ts';
import { Detector as WebDetector } from '../detector.ts';
import { EngineModule, supportedVariants } from './engine-module.ts';
import { EngineSession } from './engine-session.ts';
import { keptNodes } from './kept-nodes.ts';

/** Floats are added in another order than in Node.js, so that numbers of 8 bits are a step off now and then, and what follows too. */
const LIMITS = { overlap: 0.9, score: 0.05 };
/** The best scores of a whole graph, on an image that it was calibrated on alone: what a check of a page allows. */
const WHOLE_GRAPH_SCORE = 0.1;
const RECIPES = ['fast', 'full', 'dynamic'];
const PHRASES = 'red square, white cross, blue ring';

const files = await engineFiles();
const [variant = 'simd'] = supportedVariants();
const why = files ? '' : ' (it needs `node kernels/build-engine.mjs`)';

/** The bundled model by each recipe, and an image with the inputs of the whole graph. */
async function quantizedModels() {
  const source = await readPackage(join(packageRoot, 'assets/nano'));
  const plan = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 1, 0);
  const recipes = await Promise.all(RECIPES.map(readRecipe));
  const observed = [...new Set(recipes.flatMap((recipe) => valuesToObserve(source.model, recipe)))];
  const { statistics } = await calibrateDataset(source, observed, plan);
  const samples = calibrationSamples(source, { items: plan.items, key: 'one' }).samples();
  const { value: sample } = await samples[Symbol.asyncIterator]().next();
  if (!sample) throw new Error('the plan has an image');
  const models = new Map<string, ModelPackage>();
  for (const [index, recipe] of recipes.entries()) {
    const { model } = await quantizeModel(source.model, recipe, { statistics });
    models.set(RECIPES[index] ?? '', { ...source, model });
  }
  return { models, feeds: sample.feeds };
}

async function boxes(detector: BaseDetector, phrases?: string): Promise<Detection[]> {
  const image = await readImage(join(packageRoot, 'assets/shapes/val/000004.jpg'));
  return detector.detect(image, await detector.encodePrompt(phrases), 0);
}

describe.skipIf(!files)(`in the engine${why}`, () => {
  const engine = files?.[variant] ?? new Uint8Array();

  /** The share of the boxes in Node.js that a page finds too. */
  async function share(model: ModelPackage, phrases?: string): Promise<number> {
    const form = { backend: 'wasm', weights: undefined, floats: 32, precision: '', engine: files } as const;
    await using inNode = await Detector.create(model);
    const page = await webPackage(model, form);
    // Positions, masks and proposals are not computed for each image.
    const { graph } = parseModel(page.files.detect, 'the half that detects');
    expect(keptNodes(graph, detectionOf(model).steadyInputs).size).toBeGreaterThan(100);
    await using inPage = await WebDetector.create({ ...page, engine }, {});
    const expected = expectedBoxes(await boxes(inNode, phrases));
    expect(expected.length).toBeGreaterThan(2);
    return agreement(expected, await boxes(inPage, phrases), LIMITS);
  }

  let made: Awaited<ReturnType<typeof quantizedModels>>;
  beforeAll(async () => {
    made = await quantizedModels();
  });
  const modelBy = (recipe: string): ModelPackage => {
    const model = made.models.get(recipe);
    if (!model) throw new Error(`there is no model by ${recipe}`);
    return model;
  };

  test.each(RECIPES)('by the recipe %s, for any phrases and for fixed ones', async (recipe) => {
    const model = modelBy(recipe);
    expect(await share(model, PHRASES)).toBeGreaterThan(0.9);
    expect(await share((await fixPrompt(model, PHRASES)).model)).toBeGreaterThan(0.9);
  });

  test.each(RECIPES)('by the recipe %s as a whole graph', async (recipe) => {
    const bytes = modelBytes(modelBy(recipe).model);
    await using session = await Session.create(bytes, hasKernels ? withKernels : {});
    using wanted = await session.run(made.feeds);
    const inEngine = await EngineSession.create(await EngineModule.create(engine), bytes, recipe, ['pixel_mask']);
    const found = await inEngine.run(made.feeds);
    for (const name of session.outputs.keys())
      expect(describeTensor(found.get(name))).toBe(describeTensor(wanted.get(name)));
    expect(largestDifference(bestScores(found), bestScores(wanted))).toBeLessThan(WHOLE_GRAPH_SCORE);
    // The engine keeps what depends on sizes and on the mask alone, until the mask is another one.
    const padded = { ...made.feeds, pixel_mask: withoutLastRows(made.feeds.pixel_mask) };
    const keepsNoMask = await EngineSession.create(await EngineModule.create(engine), bytes, recipe);
    const foundPadded = await keepsNoMask.run(padded);
    for (const [feeds, expected] of [
      [made.feeds, found],
      [padded, foundPadded],
      [made.feeds, found],
    ] as const) {
      const again = await inEngine.run(feeds);
      for (const name of expected.names)
        expect(haveSameBytes(again.get(name).data, expected.get(name).data)).toBe(true);
    }
    expect(haveSameBytes(foundPadded.get('logits').data, found.get('logits').data)).toBe(false);
    await inEngine.close();
    await keepsNoMask.close();
  });
});

/** The mask of an image whose last quarter is padding. */
function withoutLastRows(mask: Tensor | undefined): Tensor {
  if (!mask) throw new Error('the whole graph takes a mask');
  const { shape, data } = mask;
  const last = (data.length * 3) / 4;
  return integers(
    Array.from({ length: data.length }, (_, pixel) => (pixel < last ? Number(data[pixel]) : 0)),
    shape,
  );
}

/** The five best scores among all queries. */
function bestScores(results: Pick<RunResults, 'get'>): number[] {
  const logits = floatData(results.get('logits'));
  const [, queries = 0, tokens = 0] = results.get('logits').shape;
  const scores = Array.from({ length: queries }, (_, query) =>
    maximum(logits.subarray(query * tokens, (query + 1) * tokens)),
  );
  return scores
    .map((logit) => 1 / (1 + Math.exp(-logit)))
    .sort((a, b) => b - a)
    .slice(0, 5);
}
