/** A model for several prompts finds by each what a model for this prompt alone finds: ONNX Runtime computes both. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Dino8Error } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { readImage } from '../data/image.ts';
import { readPrompts } from '../data/read-prompts.ts';
import { readFixedPrompts } from '../models/fixed-prompt.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { copyModel } from '../onnx/copy.ts';
import { getMetadata, setMetadata } from '../onnx/metadata.ts';
import { detect } from '../pipeline/detect-step.ts';
import { inspect } from '../pipeline/inspect-step.ts';
import { specializeModel } from '../pipeline/specialize-step.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import type { Detection } from './base-detector.ts';
import { choosePrompt } from './choose-prompt.ts';
import { Detector } from './detector.ts';
import { fixPrompt, fixPrompts } from './fix-prompt.ts';

const folder = mkdtempSync(join(tmpdir(), 'dino8-prompts-'));
afterAll(() => rmSync(folder, { recursive: true }));
const nano = await readPackage(join(packageRoot, 'assets/nano'));
const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
const image = await readImage(picture);

/** Of several lengths, so that some are filled up; the longest is not the first. */
const PROMPTS = {
  round: ['orange ring'],
  all: ['white star', 'orange ring', 'red circle', 'blue square', 'green triangle'],
  pointed: ['white star', 'green triangle'],
} as const;
const NAMES = ['round', 'all', 'pointed'] as const;

async function find(detector: Detector, name?: string) {
  const prompt = name === undefined ? await detector.encodePrompt() : detector.namedPrompt(name);
  return detector.detect(image, prompt, 0.05);
}

async function found(source: ModelPackage, name?: string) {
  await using detector = await Detector.create(source, { threads: 1 });
  return await find(detector, name);
}

function expectSame(some: readonly Detection[], others: readonly Detection[], limit: number): void {
  expect(some.length).toBeGreaterThan(0);
  expect(some.map(({ label }) => label)).toEqual(others.map(({ label }) => label));
  for (const [at, { score, box }] of others.entries()) {
    expect(Math.abs((some[at]?.score ?? 0) - score)).toBeLessThan(limit);
    // As parts of the image, which has 512 pixels at most.
    for (const [side, value] of box.entries())
      expect(Math.abs((some[at]?.box[side] ?? 0) - value)).toBeLessThan(limit * 512);
  }
}

const dynamic = async () => ({
  ...nano,
  model: (await quantizeModel(nano.model, await readRecipe('dynamic'))).model,
});

describe.each([
  ['float', async () => nano, NAMES],
  ['dynamic', dynamic, ['round'] as const],
])('%s', (_, make, names) => {
  test('each prompt finds what the model for it alone finds', async () => {
    const source = await make();
    const { model: several } = await fixPrompts(source, PROMPTS);
    expect(several.model.graph.input.map(({ name }) => name)).toEqual(['pixel_values', 'valid_pixels', 'prompt']);
    await using detector = await Detector.create(several, { threads: 1 });
    for (const name of names) {
      const { model: one } = await fixPrompt(source, PROMPTS[name]);
      expectSame(await find(detector, name), await found(one), 1e-6);
    }
    if (source === nano)
      expectSame(await found(await choosePrompt(several, 'round')), await find(detector, 'round'), 1e-6);
  });
});

describe('a file for several prompts and one size', () => {
  const path = join(folder, 'several.onnx');
  const options = { model: path, images: [picture], threshold: 0.05 };

  beforeAll(() => specializeModel({ model: nano, output: path, prompts: PROMPTS, height: 192, width: 256 }));

  test('is asked by a name or by the phrases of a prompt, and says what it has', async () => {
    const { model: alone } = await fixPrompt(nano, PROMPTS.pointed);
    const [expected] = await detect({ ...options, model: alone });
    for (const asked of [{ prompt: 'pointed' }, { prompt: 'Pointed' }, { phrases: PROMPTS.pointed }]) {
      const [each] = await detect({ ...options, ...asked });
      // A model of fixed size adds in another order than one for any size.
      expectSame(each?.detections ?? [], expected?.detections ?? [], 1e-5);
    }
    const { prompts, inputs } = await inspect({ model: path });
    expect(prompts.map(({ name, phrases }) => [name, phrases])).toEqual(NAMES.map((name) => [name, PROMPTS[name]]));
    expect(inputs).toEqual({ pixel_values: [1, 3, 192, 256], prompt: [1] });
  });

  test('without a choice, and with one that it does not have, names its prompts', async () => {
    const fails = (asked: object, reason: RegExp) => expect(detect({ ...options, ...asked })).rejects.toThrow(reason);
    await fails({}, /several prompts; choose one of round, all, pointed by `prompt`/);
    await fails({ prompt: 'square' }, /no prompt "square"; its prompts are round, all, pointed/);
    await fails({ phrases: ['blue square'] }, /made for the prompts round \("orange ring"\), all .* give those of one/);
    await fails({ prompt: 'all', phrases: ['star'] }, /`prompt` chooses from the prompts that the model has/);
    await fails({ model: nano, prompt: 'all' }, /no named prompts/);
    const again = specializeModel({ model: path, output: join(folder, 'again.onnx'), phrases: ['star'] });
    await expect(again).rejects.toThrow(/made for the prompts round .* has no text encoder/);
  });

  test('with hostile metadata is refused', async () => {
    const source = await readPackage(path);
    const [first, second, third] = JSON.parse(getMetadata(source.model, 'dino8.prompts') ?? '');
    const cases: [unknown, RegExp][] = [
      [[first, { ...second, name: 'Round' }, third], /two prompts have the same name/],
      [[first, { ...second, name: undefined }], /each of several prompts must have a name/],
      [[first, { ...second, name: 'a\u202eb' }], /at 1\.name: a name must be of letters/],
      [[first, { ...second, name: 'x'.repeat(65) }], /at 1\.name: a name must have at most 64/],
      [Array.from({ length: 65 }, (_, at) => ({ ...first, name: `p${at}` })), /not as expected/],
      [[], /not as expected/],
      [[first], /one prompt in its metadata, and an input that chooses/],
    ];
    for (const [value, reason] of cases) {
      const model = copyModel(source.model);
      setMetadata(model, 'dino8.prompts', JSON.stringify(value));
      await expect(Detector.create({ ...source, model })).rejects.toThrow(reason);
    }
    // A prompt that the table does not have is an error of the run, not the boxes of another one.
    const beyond = copyModel(source.model);
    setMetadata(beyond, 'dino8.prompts', JSON.stringify([first, second, third, { ...first, name: 'fourth' }]));
    await expect(found({ ...source, model: beyond }, 'fourth')).rejects.toThrow(Dino8Error);
    const both = copyModel(source.model);
    setMetadata(both, 'dino8.prompt', JSON.stringify(first));
    expect(() => readFixedPrompts(both)).toThrow(/has both/);
  });
});

describe('names and files', () => {
  test.each<[string, Record<string, string | string[]>, RegExp]>([
    ['no prompt', {}, /has no prompt/],
    ['an empty prompt', { a: 'star', b: ' , ' }, /The prompt "b" has no phrases/],
    ['an empty name', { '': 'star' }, /an empty name/],
    ['one name twice', { Safety: 'star', safety: 'ring' }, /"Safety" and "safety" count as one name/],
    ['a hidden character', { 'a\u200bb': 'star' }, /is not possible; give one of letters/],
    ['an equals sign', { 'a=b': 'star' }, /is not possible/],
    ['a long name', { ['x'.repeat(65)]: 'star' }, /65 characters; give one of at most 64/],
    ['too many', Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`p${at}`, 'star'])), /65 prompts/],
    [
      'too long a prompt',
      { long: Array.from({ length: 200 }, (_, at) => `red circle ${at}`) },
      /prompt "long" fill \d/,
    ],
  ])('%s is refused', async (_, prompts, reason) => {
    await expect(fixPrompts(nano, prompts)).rejects.toThrow(reason);
  });

  test('options that do not go together are refused', async () => {
    const to = { model: nano, output: join(folder, 'no.onnx') };
    const both = specializeModel({ ...to, phrases: 'star', prompts: { a: 'ring' } });
    await expect(both).rejects.toThrow(/`phrases` are one prompt and `prompts` are several/);
    await expect(specializeModel({ ...to, prompts: { a: 'ring' }, tokens: 9 })).rejects.toThrow(
      /`tokens` follows from the `prompts`/,
    );
    await expect(specializeModel({ ...to, prompt: 'a' })).rejects.toThrow(/no named prompts/);
  });

  test('a file has lists of phrases by names, each taken as it is', async () => {
    const path = join(folder, 'prompts.yaml');
    writeFileSync(path, 'safety: [helmet, "U.S. flag"]\nvehicles:\n  - forklift\n');
    const prompts = await readPrompts(path);
    const { model } = await fixPrompts(nano, prompts);
    expect(readFixedPrompts(model.model).map(({ name, phrases }) => [name, phrases])).toEqual([
      ['safety', ['helmet', 'U.S. flag']],
      ['vehicles', ['forklift']],
    ]);
    for (const text of ['[]', '{}', 'a: []', 'a: [1]', 'a: [""]', 'a: [x]\na: [y]', 'a: "x']) {
      writeFileSync(path, text);
      await expect(readPrompts(path)).rejects.toThrow(Dino8Error);
    }
  });
});
