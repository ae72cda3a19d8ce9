/** Detections by other settings of the preprocessing are those of transformers, and the settings stay with the model. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { readImage } from '../data/image.ts';
import type { Box } from '../data/labelled-box.ts';
import { parsePreprocessing } from '../data/preprocessing.ts';
import { sizesOf } from '../models/family.ts';
import { type ModelPackage, readCheckpoint, readPackage, writePackage } from '../models/package/package.ts';
import { specialize } from '../models/specialize.ts';
import { goldenFolder } from '../testing/golden.ts';
import { writeCheckpoint } from '../train/write-checkpoint.ts';
import { Detector } from './detector.ts';

interface Case {
  readonly name: string;
  readonly picture: string;
  readonly settings: object;
  /** The best scores and their boxes: left, top, width and height in pixels of the picture. */
  readonly scores: readonly number[];
  readonly boxes: readonly Box[];
}

const golden = join(goldenFolder, 'preprocessing');
const { phrases, cases }: { phrases: string[]; cases: Case[] } = JSON.parse(
  readFileSync(join(golden, 'detections.json'), 'utf8'),
);
const nano = join(packageRoot, 'assets/nano');
const source = await readPackage(nano);
const folder = mkdtempSync(join(tmpdir(), 'dino8-preprocessing-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function boxesOf(model: ModelPackage, picture: string) {
  await using detector = await Detector.create(model, { threads: 1 });
  return await detector.detect(await readImage(join(golden, picture)), await detector.encodePrompt(phrases), 0.001);
}

const withSettings = (settings: unknown): ModelPackage => ({
  ...source,
  preprocessing: parsePreprocessing(settings, 'the test'),
});

test.each(cases)(
  'the best boxes and scores are those of transformers: $name',
  async ({ settings, picture, ...expected }) => {
    const found = await boxesOf(withSettings(settings), picture);
    for (const [index, score] of expected.scores.entries()) {
      expect(Math.abs((found[index]?.score ?? 9) - score)).toBeLessThan(2e-4);
      // Boxes of low scores may change places; the best one is far ahead of them.
      if (index === 0)
        for (const [side, value] of (expected.boxes[0] ?? []).entries())
          expect(Math.abs(value - (found[0]?.box[side] ?? -99))).toBeLessThan(0.1);
    }
  },
);

/** A copy of the bundled checkpoint with other settings files. */
function checkpointWith(name: string, files: Readonly<Record<string, unknown>>): string {
  const path = join(folder, `with ${name}`);
  cpSync(nano, path, { recursive: true });
  rmSync(join(path, 'preprocessor_config.json'));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), JSON.stringify(content));
  return path;
}

describe('the settings are found where transformers finds them', () => {
  const [nested, alone] = [{ size: { height: 96, width: 128 } }, { size: { height: 64, width: 96 } }];

  test.each([
    ['processor_config.json', { 'processor_config.json': { image_processor: nested } }, nested],
    ['preprocessor_config.json', { 'preprocessor_config.json': alone }, alone],
    ['both', { 'processor_config.json': { image_processor: nested }, 'preprocessor_config.json': alone }, nested],
    [
      'a processor_config.json of version 4',
      { 'processor_config.json': { processor_class: 'X' }, 'preprocessor_config.json': alone },
      alone,
    ],
  ])('%s', async (name, files, expected) => {
    const { preprocessing, notices } = await readCheckpoint(checkpointWith(name, files));
    expect(preprocessing.size).toEqual(expected.size);
    expect(notices ?? []).toEqual([]);
  });

  test('a folder without either has the published settings, and a notice', async () => {
    const { preprocessing, notices } = await readPackage(checkpointWith('neither', {}));
    expect(preprocessing.size).toEqual({ shortest_edge: 800, longest_edge: 1333 });
    expect(notices).toEqual([expect.stringMatching(/neither preprocessor_config\.json nor processor_config\.json/)]);
  });

  test('a checkpoint of a training has the settings of the folder above, and a notice', async () => {
    const path = join(checkpointWith('run', { 'preprocessor_config.json': alone }), 'checkpoint-10');
    cpSync(nano, path, { recursive: true });
    rmSync(join(path, 'preprocessor_config.json'));
    const { preprocessing, notices } = await readCheckpoint(path);
    expect(preprocessing.size).toEqual(alone.size);
    expect(notices).toEqual([expect.stringMatching(/preprocessor_config\.json in .*with run is taken/)]);
  });

  test('an image processor of another model is refused by its name', async () => {
    const files = { 'preprocessor_config.json': { ...alone, image_processor_type: 'CLIPImageProcessor' } };
    const reading = readCheckpoint(checkpointWith('other', files));
    await expect(reading).rejects.toThrow(InputError);
    await expect(reading).rejects.toThrow(/preprocessor_config\.json.*CLIPImageProcessor/);
  });
});

test('the settings travel with the model in every form, and its boxes stay the same', async () => {
  const settings = {
    size: { height: 224, width: 256 },
    pad_size: { height: 250, width: 333 },
    image_mean: 0.4,
    resample: 3,
    processor_class: 'GroundingDinoProcessor',
  };
  const path = checkpointWith('all', { 'processor_config.json': { image_processor: settings } });
  const read = await readPackage(path);
  const expected = await boxesOf(read, 'picture.png');
  for (const name of ['one.onnx', 'halves', 'combined'] as const) {
    const written = join(folder, `written-${name}`);
    await writePackage(read, written, name === 'halves' ? 'halves' : 'combined');
    const again = await readPackage(written);
    expect(again.preprocessing).toEqual(read.preprocessing);
    expect(await boxesOf(again, 'picture.png')).toEqual(expected);
    if (name === 'one.onnx') continue;
    const file = JSON.parse(readFileSync(join(written, 'preprocessor_config.json'), 'utf8'));
    expect(file).toMatchObject({
      image_processor_type: 'GroundingDinoImageProcessor',
      do_resize: true,
      image_mean: [0.4, 0.4, 0.4],
      resample: 3,
      size: settings.size,
      pad_size: settings.pad_size,
    });
    writeFileSync(join(written, 'preprocessor_config.json'), JSON.stringify({ ...file, resample: 2 }));
    await expect(readPackage(written)).rejects.toThrow(/preprocessor_config\.json differs/);
  }
  const checkpoint = await readCheckpoint(path);
  await writeCheckpoint(checkpoint, checkpoint.tensors, join(folder, 'trained'));
  expect((await readCheckpoint(join(folder, 'trained'))).preprocessing).toEqual(read.preprocessing);
  await expect(writeCheckpoint(checkpoint, checkpoint.tensors, path)).rejects.toThrow(/processor_config\.json/);
});

test('an image that is larger than pad_size is an error that names it', async () => {
  const model = withSettings({ size: { height: 96, width: 96 }, pad_size: 64 });
  await expect(boxesOf(model, 'picture.png')).rejects.toThrow(/picture\.png has 96x96 .*pad_size 64x64/);
});

test('a model without a mask of padding refuses padded images, and one with it has the same boxes', async () => {
  const padded = withSettings({ size: { height: 160, width: 256 }, pad_size: { height: 192, width: 256 } });
  const size = { batch: 1, height: 192, width: 256 };
  const without = { ...padded, model: await specialize(padded.model, size, sizesOf(padded)) };
  await expect(boxesOf(without, 'picture.png')).rejects.toThrow(/`padding`/);
  const masked = { ...padded, model: await specialize(padded.model, { ...size, padding: true }, sizesOf(padded)) };
  const [expected, actual] = [await boxesOf(padded, 'picture.png'), await boxesOf(masked, 'picture.png')];
  expect(actual.length).toBe(expected.length);
  expect(Math.abs((actual[0]?.score ?? 9) - (expected[0]?.score ?? 0))).toBeLessThan(1e-4);
});

test('a fixed size with fewer positions than queries is refused with one that has enough', async () => {
  const specializing = specialize(source.model, { batch: 1, height: 32, width: 64 }, sizesOf(source));
  await expect(specializing).rejects.toThrow(UsageError);
  await expect(specializing).rejects.toThrow(/at least \d+x\d+/);
});
