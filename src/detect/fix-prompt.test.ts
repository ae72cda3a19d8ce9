/** A model for fixed phrases finds what the full model finds, and refuses other phrases. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readImage } from '../data/image.ts';
import { readFixedPrompts } from '../models/fixed-prompt.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { setMetadata } from '../onnx/metadata.ts';
import { detect } from '../pipeline/detect-step.ts';
import { specializeModel } from '../pipeline/specialize-step.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import { Detector } from './detector.ts';
import { fixPrompt } from './fix-prompt.ts';

const folder = mkdtempSync(join(tmpdir(), 'dino8-fixed-'));
afterAll(() => rmSync(folder, { recursive: true }));
const nano = await readPackage(join(packageRoot, 'assets/nano'));
const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
const PHRASES = ['white star', 'orange ring', 'red circle'];

async function boxesOf(source: ModelPackage, phrases?: readonly string[]) {
  await using detector = await Detector.create(source);
  const prompt = await detector.encodePrompt(phrases);
  return await detector.detect(await readImage(picture), prompt, 0.2);
}

const quantized = async () => {
  const { model } = await quantizeModel(nano.model, await readRecipe('dynamic'));
  return { ...nano, model };
};

test.each([
  ['float', async () => nano],
  ['dynamic', quantized],
])('the boxes are those of the full model: %s', async (_, make) => {
  const source = await make();
  const expected = await boxesOf(source, PHRASES);
  expect(expected.length).toBeGreaterThan(1);
  const { model } = await fixPrompt(source, PHRASES);
  expect(model.model.graph.input.map(({ name }) => name)).toEqual(['pixel_values', 'valid_pixels']);
  expect(model.model.graph.initializer.length).toBeLessThan(source.model.graph.initializer.length);
  for (const phrases of [undefined, PHRASES]) {
    const found = await boxesOf(model, phrases);
    expect(found.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
    for (const [at, { score, box }] of expected.entries()) {
      expect(Math.abs((found[at]?.score ?? 0) - score)).toBeLessThan(1e-6);
      // 1e-6 of the image, in pixels.
      for (const [side, value] of box.entries())
        expect(Math.abs((found[at]?.box[side] ?? 0) - value)).toBeLessThan(1e-6 * 512);
    }
  }
});

test('a file for fixed phrases and one size is detected with as it is, and takes no other phrases', async () => {
  const output = join(folder, 'fixed.onnx');
  await specializeModel({ model: nano, output, phrases: PHRASES, height: 192, width: 256 });
  const written = await readPackage(output);
  expect(written.model.graph.input.map(({ name }) => name)).toEqual(['pixel_values']);
  expect(readFixedPrompts(written.model)[0]?.phrases).toEqual(PHRASES);
  const options = { model: output, images: [picture], threshold: 0.2 };
  const [found] = await detect(options);
  const [full] = await detect({ ...options, model: nano, phrases: PHRASES });
  expect(found?.detections.map(({ label }) => label)).toEqual(full?.detections.map(({ label }) => label));
  await expect(detect({ ...options, phrases: ['blue square'] })).rejects.toThrow(
    /made for the phrases "white star, orange ring, red circle" in this order; leave out `phrases`/,
  );
  await using detector = await Detector.create(written);
  const narrow = { width: 10, height: 20, pixels: new Uint8Array(600) };
  await expect(detector.detect(narrow, await detector.encodePrompt())).rejects.toThrow(
    /made for images that are 1x3x192x256 when they are prepared, and this one is 1x3x\d+x\d+; use the model that it was made from/,
  );
  await expect(detect({ ...options, model: nano })).rejects.toThrow(/There are no phrases to look for/);
  const again = specializeModel({ model: output, output: join(folder, 'again.onnx'), phrases: ['blue square'] });
  await expect(again).rejects.toThrow(/is made for the phrases .* has no text encoder/);
});

test('options that do not go together, phrases of several prompts, and damaged metadata are refused', async () => {
  const to = { model: nano, output: join(folder, 'no.onnx') };
  await expect(specializeModel(to)).rejects.toThrow(/nothing to fix/);
  await expect(specializeModel({ ...to, phrases: PHRASES, tokens: 12 })).rejects.toThrow(/follows from the `phrases`/);
  await expect(specializeModel({ ...to, phrases: PHRASES, height: 192 })).rejects.toThrow(/name both or neither/);
  const many = Array.from({ length: 200 }, (_, at) => ({ exact: `red circle ${'blue '.repeat(at % 3)}` }));
  await expect(fixPrompt(nano, many)).rejects.toThrow(/fill \d+ prompts/);
  const { model } = await fixPrompt(nano, PHRASES);
  const chunk = { tokens: [101, 102], phrases: [{ phrase: 7, begin: 0, end: 9 }] };
  setMetadata(model.model, 'dino8.prompt', JSON.stringify({ phrases: ['a'], chunk }));
  expect(() => readFixedPrompts(model.model)).toThrow(/dino8.prompt of the model is not as expected/);
});
