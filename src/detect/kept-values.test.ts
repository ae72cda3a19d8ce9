/** A detector computes what depends on the mask of valid pixels once for a mask, and finds what the undivided model finds. */
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import type { PreparedImages } from '../data/prepare-images.ts';
import { detectionOf, sizesOf } from '../models/family.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { specialize } from '../models/specialize.ts';
import type { Model } from '../onnx/read.ts';
import { splitOffInputs } from '../onnx/split-off-inputs.ts';
import { modelBytes } from '../onnx/write.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import { CachingRunner } from '../runtime/caching-runner.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { booleans, floats } from '../runtime/tensor.ts';
import { noise } from '../testing/noise.ts';
import { Detector } from './detector.ts';
import { fixPrompt } from './fix-prompt.ts';

const nano = await readPackage(join(packageRoot, 'assets/nano'));
const PHRASES = ['white star', 'orange ring'];
const VALID = sizesOf(nano).validPixels;

afterEach(() => vi.restoreAllMocks());

/** Prepared images with noise, of which the last columns and rows are padding. */
function imagesOf(batch: number, height: number, width: number, padding = 0): PreparedImages {
  const valid = Uint8Array.from({ length: batch * height * width }, (_, at) =>
    Number(at % width < width - padding && Math.floor(at / width) % height < height - padding),
  );
  return {
    pixelValues: floats(noise(batch * 3 * height * width, height + width), [batch, 3, height, width]),
    validPixels: booleans(valid, [batch, height, width]),
  };
}

async function quantized(): Promise<ModelPackage> {
  const { model } = await quantizeModel(nano.model, await readRecipe('dynamic'));
  return { ...nano, model };
}

/** The half that detects, and its inputs from a prompt. */
async function detectHalf(source: ModelPackage): Promise<{ readonly half: Model; readonly prompt: Feeds }> {
  await using detector = await Detector.create(source);
  const { chunks } = await detector.encodePrompt(detector.prompts.length > 0 ? undefined : PHRASES);
  const half = detector.prompts.length > 0 ? source.model : detectionOf(source).extractHalf(source.model, 'detect');
  return { half, prompt: chunks[0]?.feeds ?? {} };
}

test.each([
  ['float', async () => nano],
  ['dynamic', quantized],
  ['fixed phrases', async () => (await fixPrompt(nano, PHRASES)).model],
])('the results of the two parts are those of the undivided half to the bit: %s', async (_, make) => {
  const source = await make();
  const { half, prompt } = await detectHalf(source);
  const parts = splitOffInputs(half, [VALID]);
  if (!parts) throw new Error('positions and masks depend on the mask of valid pixels alone');
  expect(parts.first.graph.input.map(({ name }) => name)).toEqual([VALID]);
  expect(parts.second.graph.input.map(({ name }) => name)).not.toContain(VALID);
  const load = (part: Model) => Session.create(modelBytes(part), kernelOptions(), 'the model');
  await using whole = await load(half);
  const first = await load(parts.first);
  const runs = vi.spyOn(first, 'run');
  const inputs = half.graph.input.map(({ name }) => name);
  const runner = new CachingRunner(first, await load(parts.second), { inputs, capacity: 4 });
  // Two sizes in turns, a size that is no multiple of a patch, and images of one size with padding and without.
  const images = [imagesOf(1, 192, 256), imagesOf(1, 256, 192), imagesOf(1, 181, 223), imagesOf(1, 192, 256, 50)];
  for (const _round of [1, 2])
    for (const { pixelValues, validPixels } of images) {
      const feeds = { ...prompt, pixel_values: pixelValues, [VALID]: validPixels };
      using expected = await whole.run(feeds);
      using found = await runner.run(feeds);
      for (const name of expected.names) expect(found.get(name)).toEqual(expected.get(name));
    }
  expect(runs).toHaveBeenCalledTimes(images.length);
  await runner.close();
});

test('the results of a padded batch are those of the undivided half', async () => {
  const { half, prompt } = await detectHalf(nano);
  const parts = splitOffInputs(half, [VALID]);
  if (!parts) throw new Error('positions and masks depend on the mask of valid pixels alone');
  const load = (part: Model) => Session.create(modelBytes(part), kernelOptions());
  await using whole = await load(half);
  const inputs = half.graph.input.map(({ name }) => name);
  const runner = new CachingRunner(await load(parts.first), await load(parts.second), { inputs, capacity: 4 });
  const twice = Object.fromEntries(
    Object.entries(prompt).map(([name, { type, shape, data }]) => {
      const both = new (data.constructor as new (length: number) => typeof data)(2 * data.length);
      both.set(data as never);
      both.set(data as never, data.length);
      return [name, { type, shape: [2, ...shape.slice(1)], data: both }];
    }),
  );
  for (const padding of [0, 64, 0]) {
    const { pixelValues, validPixels } = imagesOf(2, 192, 256, padding);
    const feeds = { ...twice, pixel_values: pixelValues, [VALID]: validPixels };
    using expected = await whole.run(feeds);
    using found = await runner.run(feeds);
    for (const name of expected.names) expect(found.get(name)).toEqual(expected.get(name));
  }
  await runner.close();
});

/** The runs of sessions that take the mask of valid pixels. */
function runsOfMasks() {
  const runs = vi.spyOn(Session.prototype, 'run');
  return () => runs.mock.contexts.filter((session) => (session as Session).inputs.has(VALID)).length;
}

test('a detector runs the part of the mask once for a size', async () => {
  await using detector = await Detector.create(nano);
  const prompt = await detector.encodePrompt(PHRASES);
  const count = runsOfMasks();
  for (const _round of [1, 2, 3])
    for (const prepared of [imagesOf(1, 192, 256), imagesOf(1, 224, 256)]) await detector.time(prepared, prompt);
  expect(count()).toBe(2);
  await detector.time(imagesOf(1, 192, 256, 64), prompt);
  expect(count()).toBe(3);
});

test('valid pixels that are those of another image are refused, also where both have as many pixels', async () => {
  await using detector = await Detector.create(nano);
  const prompt = await detector.encodePrompt(PHRASES);
  const { pixelValues } = imagesOf(1, 192, 256);
  for (const { validPixels } of [imagesOf(1, 256, 192), imagesOf(2, 192, 128), imagesOf(1, 192, 224)])
    await expect(detector.time({ pixelValues, validPixels }, prompt)).rejects.toThrow(
      /^The prepared image has pixels for 1x192x256 .* and valid pixels for [0-9x]+;/,
    );
  const nothing = { pixelValues, validPixels: undefined } as unknown as PreparedImages;
  await expect(detector.time(nothing, prompt)).rejects.toThrow(/^`validPixels` of the prepared image/);
});

test('a model with static shapes has no first part without padding, and with padding its first part runs once', async () => {
  const size = { batch: 1, height: 192, width: 256 };
  const images = imagesOf(1, 192, 256);
  for (const padding of [false, true]) {
    const model = await specialize(nano.model, { ...size, padding }, sizesOf(nano));
    const { half, prompt } = await detectHalf({ ...nano, model });
    await using detector = await Detector.create({ ...nano, model });
    const encoded = await detector.encodePrompt(PHRASES);
    const count = runsOfMasks();
    for (const _round of [1, 2]) expect(await detector.time(images, encoded)).toBeGreaterThan(0);
    expect(count()).toBe(padding ? 1 : 0);
    const pixels = { ...prompt, pixel_values: images.pixelValues };
    await using whole = await Session.create(modelBytes(half), kernelOptions());
    using expected = await whole.run(padding ? { ...pixels, [VALID]: images.validPixels } : pixels);
    const parts = splitOffInputs(half, [VALID]);
    expect(parts === undefined).toBe(!padding);
    if (!parts) continue;
    const load = (part: Model) => Session.create(modelBytes(part), kernelOptions());
    const inputs = half.graph.input.map(({ name }) => name);
    const runner = new CachingRunner(await load(parts.first), await load(parts.second), { inputs, capacity: 1 });
    using found = await runner.run({ ...pixels, [VALID]: images.validPixels });
    for (const name of expected.names) expect(found.get(name)).toEqual(expected.get(name));
    await runner.close();
  }
});
