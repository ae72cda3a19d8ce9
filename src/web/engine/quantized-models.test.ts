/** Quantized models find the same boxes in the engine as by ONNX Runtime with dino8's kernels. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { planCalibration } from '../../data/calibration-plan.ts';
import { readDataset } from '../../data/datasets/read-dataset.ts';
import { readImage } from '../../data/image.ts';
import type { BaseDetector, Detection } from '../../detect/base-detector.ts';
import { calibrationSamples } from '../../detect/calibration-feeds.ts';
import { Detector } from '../../detect/detector.ts';
import { fixPrompt } from '../../detect/fix-prompt.ts';
import { type ModelPackage, readPackage } from '../../models/package/package.ts';
import { modelBytes } from '../../onnx/write.ts';
import { agreement, expectedBoxes } from '../../pipeline/bundles/golden.ts';
import { calibrateDataset } from '../../pipeline/calibrate-dataset.ts';
import { engineFiles } from '../../pipeline/web/engine-files.ts';
import { webPackage } from '../../pipeline/web/web-models.ts';
import { valuesToObserve } from '../../quant/plan.ts';
import { quantizeModel } from '../../quant/quantize.ts';
import { readRecipe } from '../../quant/recipe.ts';
import { Session } from '../../runtime/session.ts';
import { describeTensor } from '../../runtime/tensor.ts';
import { hasKernels, withKernels } from '../../testing/kernels.ts';
import { Detector as WebDetector } from '../detector.ts';
import { EngineModule, supportedVariants } from './engine-module.ts';
import { EngineSession } from './engine-session.ts';

/** Sums of floats in another order move steps of 8 bits now and then. */
const LIMITS = { overlap: 0.95, score: 0.02 };
const PHRASES = 'red square, white cross, blue ring';

const files = await engineFiles();
const [variant = 'simd'] = supportedVariants();
const why = files ? '' : ' (it needs `node kernels/build-engine.mjs`)';

/** The bundled model by a recipe, and an image with the inputs of the whole graph. */
async function quantized(recipeName: string) {
  const source = await readPackage(join(packageRoot, 'assets/nano'));
  const plan = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 1, 0);
  const recipe = await readRecipe(recipeName);
  const { statistics } = await calibrateDataset(source, valuesToObserve(source.model, recipe), plan);
  const { model } = await quantizeModel(source.model, recipe, { statistics });
  const samples = calibrationSamples(source, { items: plan.items, key: 'one' }).samples();
  const { value: sample } = await samples[Symbol.asyncIterator]().next();
  if (!sample) throw new Error('the plan has an image');
  return { model: { ...source, model }, feeds: sample.feeds };
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
    await using inPage = await WebDetector.create({ ...(await webPackage(model, form)), engine }, {});
    const expected = expectedBoxes(await boxes(inNode, phrases));
    expect(expected.length).toBeGreaterThan(2);
    return agreement(expected, await boxes(inPage, phrases), LIMITS);
  }

  test.each(['fast', 'full', 'dynamic'])(
    'by the recipe %s: halves, fixed phrases and the whole graph',
    async (recipe) => {
      const { model, feeds } = await quantized(recipe);
      expect(await share(model, PHRASES)).toBeGreaterThan(0.95);
      const { model: fixed } = await fixPrompt(model, PHRASES);
      expect(await share(fixed)).toBeGreaterThan(0.95);

      const bytes = modelBytes(model.model);
      await using session = await Session.create(bytes, hasKernels ? withKernels : {});
      using wanted = await session.run(feeds);
      const inEngine = await EngineSession.create(await EngineModule.create(engine), bytes, recipe);
      const found = await inEngine.run(feeds);
      for (const name of session.outputs.keys())
        expect(describeTensor(found.get(name))).toBe(describeTensor(wanted.get(name)));
      // The same inputs again, for which the engine keeps what depends on their sizes alone.
      const again = await inEngine.run(feeds);
      for (const name of found.names) expect(again.get(name)).toEqual(found.get(name));
      await inEngine.close();
    },
  );
});
