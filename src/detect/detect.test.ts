/** Each step from files to boxes is compared with the tool that it has to agree with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { decodeImage, readImage } from '../data/image.ts';
import { splitPhrases } from '../data/phrases.ts';
import { Preprocessor } from '../data/preprocess.ts';
import { resample } from '../data/resample.ts';
import { resizedSize } from '../data/size.ts';
import { readSafetensors } from '../models/checkpoint/safetensors.ts';
import { sizesOf } from '../models/family.ts';
import { createPrompt } from '../models/grounding-dino/prompt.ts';
import { tokenMasks } from '../models/grounding-dino/token-masks.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { specialize } from '../models/specialize.ts';
import { createTokenizer, type Tokenizer } from '../models/tokenizer.ts';
import { copyModel } from '../onnx/copy.ts';
import { dimensionsOf, makeTensor, tensorElements } from '../onnx/tensor.ts';
import { RuntimeError } from '../runtime/error.ts';
import { floatData } from '../runtime/tensor.ts';
import { Detector } from './detector.ts';

const golden = join(packageRoot, 'test/fixtures/golden');
let model: ModelPackage;
let tokenizer: Tokenizer;
beforeAll(async () => {
  model = await readPackage(join(packageRoot, 'assets/nano'));
  tokenizer = createTokenizer(model.tokenizer, 'the bundled model');
});

test('the tokens are those of the tokenizers library', () => {
  const cases: { text: string; ids: number[] }[] = JSON.parse(readFileSync(join(golden, 'tokenizer.json'), 'utf8'));
  expect(cases.length).toBeGreaterThan(5);
  for (const { text, ids } of cases) expect(tokenizer.encodeWhole(text), text).toEqual(ids);
});

test('resizing is that of Pillow, to the bit', async () => {
  const tensors = await readSafetensors(join(golden, 'resize/bilinear.safetensors'));
  for (let index = 0; tensors.has(`${index}_in`); index++) {
    const [before, after] = [tensors.get(`${index}_in`), tensors.get(`${index}_out`)];
    const [height = 0, width = 0] = before?.shape ?? [];
    const [newHeight = 0, newWidth = 0] = after?.shape ?? [];
    const picture = { height, width, pixels: before?.bytes ?? new Uint8Array() };
    const { pixels } = resample(picture, { height: newHeight, width: newWidth }, 2);
    expect(Buffer.compare(pixels, after?.bytes ?? new Uint8Array()), String(index)).toBe(0);
  }
});

describe('the size after resizing is that of Hugging Face transformers', () => {
  // get_size_with_aspect_ratio of transformers 5.18 for these (height, width, shortest, longest)
  test.each([
    [480, 640, 800, 1333, 800, 1066],
    [427, 640, 800, 1333, 800, 1199],
    [333, 500, 800, 1333, 800, 1201],
    [300, 640, 800, 1333, 625, 1333],
    [1080, 1920, 800, 1333, 750, 1333],
    [640, 300, 800, 1333, 1333, 625],
    [192, 256, 192, 256, 192, 256],
    [1, 1, 800, 1333, 800, 800],
  ])('%ix%i to %i/%i', (height, width, shortest, longest, newHeight, newWidth) => {
    expect(resizedSize({ height, width }, { shortest_edge: shortest, longest_edge: longest })).toEqual({
      height: newHeight,
      width: newWidth,
    });
  });

  test('no side is below one pixel, or above the longest side if the size changed', () => {
    const side = fc.integer({ min: 1, max: 30_000 });
    fc.assert(
      fc.property(side, side, (height, width) => {
        const size = resizedSize({ height, width }, { shortest_edge: 800, longest_edge: 1333 });
        const sides = [size.height, size.width];
        // Hugging Face does not resize an image whose shorter side has its final length after rounding: 1x1335 stays.
        const isUnchanged = size.height === height && size.width === width;
        return Math.min(...sides) >= 1 && (isUnchanged || Math.max(...sides) <= 1334);
      }),
      { numRuns: 2000 },
    );
  });
});

test('a batch is padded on the right and at the bottom, and its mask marks the padding', async () => {
  await using preprocessor = await Preprocessor.create({
    ...model.preprocessing,
    size: { shortest_edge: 8, longest_edge: 16 },
  });
  const image = (height: number, width: number) => ({
    height,
    width,
    pixels: new Uint8Array(height * width * 3).fill(255),
  });
  const { pixelValues, validPixels } = await preprocessor.prepare([image(8, 16), image(16, 8)]);
  expect(pixelValues.shape).toEqual([2, 3, 16, 16]);
  const valid = [...validPixels.data].map(Number);
  expect(valid.slice(0, 256)).toEqual(Array.from({ length: 256 }, (_, at) => Number(at < 128)));
  expect(valid.slice(256)).toEqual(Array.from({ length: 256 }, (_, at) => Number(at % 16 < 8)));
  const values = floatData(pixelValues);
  for (const [at, isValid] of valid.entries())
    if (!isValid) expect(values[Math.floor(at / 256) * 768 + (at % 256)]).toBe(0);
});

describe('prompts', () => {
  test('a text and a list give the same phrases', () => {
    expect(splitPhrases('red circle . blue square .')).toEqual(['red circle', 'blue square']);
    expect(splitPhrases('red circle, blue square')).toEqual(['red circle', 'blue square']);
  });

  test('the tokens of a prompt are those of its text', () => {
    const { chunks } = createPrompt(['red circle', 'blue square'], tokenizer, 256);
    expect(chunks[0]?.tokens).toEqual(tokenizer.encodeWhole('red circle. blue square.'));
    expect(tokenMasks(chunks[0]?.tokens ?? []).positionIds).toEqual([0, 0, 1, 0, 0, 1, 0, 0]);
  });

  test('any number of phrases is split into chunks of whole phrases, and none is lost', () => {
    const phrase = fc
      .array(fc.constantFrom('red', 'blue', 'circle', 'forklift', 'star'), { minLength: 1, maxLength: 4 })
      .map((words) => words.join(' '));
    fc.assert(
      fc.property(
        fc.array(phrase, { minLength: 1, maxLength: 120 }),
        fc.integer({ min: 48, max: 256 }),
        (phrases, longest) => {
          const { chunks } = createPrompt(phrases, tokenizer, longest);
          const spans = chunks.flatMap((chunk) => chunk.phrases.map((span) => ({ ...span, chunk })));
          expect(spans.map((span) => span.phrase)).toEqual(phrases.map((_, index) => index));
          for (const { phrase: index, begin, end, chunk } of spans)
            expect(chunk.tokens.slice(begin, end)).toEqual(tokenizer.encode(phrases[index] ?? ''));
          for (const chunk of chunks) expect(chunk.tokens.length).toBeLessThanOrEqual(longest);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('a prompt can have 5,000 phrases', () => {
    const prompt = createPrompt(
      Array.from({ length: 5000 }, (_, index) => `thing ${index}`),
      tokenizer,
      256,
    );
    expect(prompt.chunks.flatMap((chunk) => chunk.phrases).length).toBe(5000);
  });

  test.each([
    ['empty', []],
    ['blank text', ' , . '],
    ['only punctuation', ['...']],
    ['a blank phrase', ['red', ' ']],
    ['far too many', new Array(10_001).fill('a')],
    ['one that is too long', ['star '.repeat(300)]],
  ])('%s is refused in one sentence', (_, phrases) => {
    expect(() => createPrompt(phrases, tokenizer, 256)).toThrow(UsageError);
  });
});

describe('images', () => {
  const red = { r: 250, g: 10, b: 20 };
  const picture = (width: number, height: number, channels: 3 | 4 = 3) =>
    sharp({
      limitInputPixels: false,
      create: { width, height, channels, background: channels === 4 ? { ...red, alpha: 0.3 } : red },
    });

  test.each([
    ['1x1', () => picture(1, 1).png()],
    ['alpha', () => picture(20, 10, 4).png()],
    ['WebP', () => picture(20, 10).webp({ lossless: true })],
    ['16-bit PNG', () => picture(20, 10).toColourspace('rgb16').png()],
  ])('%s decodes to RGB', async (_, make) => {
    const { width, height, pixels } = await decodeImage(await make().toBuffer(), 'it');
    expect(pixels.length).toBe(width * height * 3);
    const first = [...pixels.subarray(0, 3)];
    for (const [index, value] of [red.r, red.g, red.b].entries())
      expect(Math.abs((first[index] ?? 0) - value)).toBeLessThan(3);
  });

  test('grayscale and CMYK become RGB', async () => {
    const gray = await decodeImage(await picture(9, 7).grayscale().jpeg().toBuffer(), 'it');
    expect(gray.pixels.length).toBe(9 * 7 * 3);
    expect(gray.pixels[0]).toBe(gray.pixels[1]);
    const cmyk = await decodeImage(await picture(9, 7).toColourspace('cmyk').jpeg().toBuffer(), 'it');
    expect(cmyk.pixels.length).toBe(9 * 7 * 3);
    expect(cmyk.pixels[0]).toBeGreaterThan(200);
  });

  test('an animation is read as its first picture', async () => {
    const frames = Buffer.concat([Buffer.alloc(8 * 8 * 3, 200), Buffer.alloc(8 * 8 * 3, 20)]);
    const animation = await sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } })
      .webp({ lossless: true, loop: 0 })
      .toBuffer();
    const { height, pixels } = await decodeImage(animation, 'it');
    expect([height, pixels[0]]).toEqual([8, 200]);
  });

  test('the EXIF orientation is applied', async () => {
    const turned = await picture(30, 10).jpeg().withMetadata({ orientation: 6 }).toBuffer();
    const { width, height } = await decodeImage(turned, 'it');
    expect([width, height]).toEqual([10, 30]);
  });

  test.each([
    ['not an image', () => Promise.resolve(Buffer.from('hello'))],
    ['an empty file', () => Promise.resolve(Buffer.alloc(0))],
    ['a truncated JPEG', async () => (await picture(300, 300).jpeg().toBuffer()).subarray(0, 400)],
    ['SVG', () => Promise.resolve(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'))],
    ['20,000x20,000', () => picture(20_000, 20_000).png({ compressionLevel: 1 }).toBuffer()],
  ])('%s is refused in one sentence', async (_, make) => {
    const failure = await decodeImage(await make(), 'picture.jpg').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect(String(failure)).toMatch(/picture\.jpg/);
    expect(String(failure)).not.toContain('\n');
  });
});

describe('detection', () => {
  let detector: Detector;
  beforeAll(async () => {
    detector = await Detector.create(model);
  });
  afterAll(() => detector[Symbol.asyncDispose]());

  test('a model of fixed text length takes shorter prompts, and longer ones in chunks', async () => {
    const image = await readImage(join(packageRoot, 'assets/shapes/val/000082.jpg'));
    const [height, width] = (await detector.prepare(image)).pixelValues.shape.slice(2);
    const size = { batch: 1, height: height ?? 0, width: width ?? 0, textLength: 11 };
    await using fixed = await Detector.create({ ...model, model: await specialize(model.model, size, sizesOf(model)) });
    for (const phrases of [
      ['white star', 'orange ring'],
      ['white star', 'orange ring', 'red circle', 'orange triangle'],
    ]) {
      const found = await fixed.detect(image, await fixed.encodePrompt(phrases));
      const expected = await detector.detect(image, await detector.encodePrompt(phrases));
      expect(expected.length).toBeGreaterThan(0);
      if (phrases.length > 2) expect((await fixed.encodePrompt(phrases)).chunks).toHaveLength(2);
      else
        for (const [index, { label, score }] of found.entries()) {
          expect(label).toBe(expected[index]?.label);
          expect(score).toBeCloseTo(expected[index]?.score ?? 0, 4);
        }
      expect(new Set(found.map(({ label }) => label))).toEqual(new Set(expected.map(({ label }) => label)));
    }
  });

  test('the objects of a validation image are found with their phrases', async () => {
    const dataset = await readDataset(join(packageRoot, 'assets/shapes/val'));
    const image = dataset.images.find((each) => each.id === 82);
    if (!image) throw new Error('the image is bundled');
    const prompt = await detector.encodePrompt(dataset.categories.map((category) => category.name));
    const found = await detector.detect(await readImage(dataset.pathOf(image)), prompt);
    const truth = dataset.annotations.filter((annotation) => annotation.image_id === image.id);
    const hits = found.filter(({ label, box }) =>
      truth.some(({ category_id, bbox }) => {
        const name = dataset.categories.find((category) => category.id === category_id)?.name;
        return name === label && Math.abs(bbox[0] - box[0]) < 4 && Math.abs(bbox[1] - box[1]) < 4;
      }),
    );
    expect(found.length).toBeGreaterThan(5);
    expect(hits.length / found.length).toBeGreaterThan(0.6);
  });

  test('a prompt in chunks gives the boxes of its chunks as separate prompts', async () => {
    // BERT sees one phrase at a time, but the detector fuses all of a prompt: chunks are compared with prompts of their own.
    const many = Array.from({ length: 130 }, (_, index) => (index % 2 === 0 ? 'red circle' : 'blue square'));
    const prompt = await detector.encodePrompt(many);
    expect(prompt.chunks.length).toBe(2);
    const image = await readImage(join(packageRoot, 'assets/shapes/val/000082.jpg'));
    const whole = await detector.rank(image, prompt, 50);
    const parts = [];
    for (const { chunk } of prompt.chunks) {
      const own = await detector.encodePrompt(chunk.phrases.map(({ phrase }) => many[phrase] ?? ''));
      for (const box of await detector.rank(image, own, 50))
        parts.push({ ...box, phrase: chunk.phrases[box.phrase]?.phrase ?? -1 });
    }
    expect(whole).toEqual(parts.sort((a, b) => b.score - a.score).slice(0, 50));
  });
});

test('a model that computes NaN is an error, where it would find nothing', async () => {
  const damaged = copyModel(model.model);
  const bias = damaged.graph.initializer.find(({ name }) => name === 'model.decoder.layers.0.fc1.bias');
  if (!bias) throw new Error('the bundled model has this weight');
  const values = Float32Array.from(tensorElements(bias), Number).with(0, Number.NaN);
  damaged.graph.initializer = damaged.graph.initializer.map((each) =>
    each === bias ? makeTensor(bias.name, dimensionsOf(bias), values) : each,
  );
  await using detector = await Detector.create({ ...model, model: damaged });
  const prompt = await detector.encodePrompt(['red circle']);
  const image = await readImage(join(packageRoot, 'assets/shapes/val/000001.jpg'));
  await expect(detector.detect(image, prompt)).rejects.toThrow(/computes NaN in its result "(logits|pred_boxes)"/);
  await expect(detector.rank(image, prompt, 10)).rejects.toThrow(RuntimeError);
});
