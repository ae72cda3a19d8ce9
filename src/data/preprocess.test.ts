/** The pixels that a model sees are those of transformers 5.18 for the same settings, or the setting is refused by name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { floatData } from '../runtime/tensor.ts';
import { goldenFolder, readGolden } from '../testing/golden.ts';
import type { Image } from './image.ts';
import { Preprocessor } from './preprocess.ts';
import { completeSettings, parsePreprocessing } from './preprocessing.ts';

interface Case {
  readonly name: string;
  readonly settings: Record<string, unknown>;
  /** The shape of each picture's pixels; null where transformers fails. */
  readonly shapes: readonly (readonly number[] | null)[];
}

const cases: Case[] = JSON.parse(readFileSync(join(goldenFolder, 'preprocessing/cases.json'), 'utf8'));
const golden = await readGolden('preprocessing/pixels');

/** Settings that transformers takes and dino8 refuses, with the word by which the error names them. */
const REFUSED: Readonly<Record<string, string>> = {
  'center crop': 'do_center_crop',
  'channels last': 'data_format',
  divisor: 'size_divisor',
  unknown: 'do_flip_channel_order',
  'zero deviation': 'image_std',
  'resize as a number': 'do_resize',
};

function pictureOf(index: number): Image {
  const stored = golden.get(`picture${index}`);
  const [height = 0, width = 0] = stored?.shape ?? [];
  return { height, width, pixels: stored?.bytes ?? new Uint8Array() };
}

function valuesOf(name: string): Float32Array {
  const stored = golden.get(name);
  if (!stored) throw new Error(`there is no golden tensor ${name}`);
  return new Float32Array(stored.bytes.slice().buffer);
}

const prepare = async (settings: unknown, picture: Image) => {
  await using preprocessor = await Preprocessor.create(parsePreprocessing(settings, 'the settings'), 1);
  return await preprocessor.prepare([picture]);
};

const honoured = cases.filter(({ name, shapes }) => !shapes.includes(null) && !(name in REFUSED));
const refused = cases.filter((each) => !honoured.includes(each));

test.each(honoured)('the pixels are those of transformers: $name', async ({ name, settings, shapes }) => {
  for (const [index, shape] of shapes.entries()) {
    const { pixelValues, validPixels } = await prepare(settings, pictureOf(index));
    expect(pixelValues.shape).toEqual([1, ...(shape ?? [])]);
    const [expected, actual] = [valuesOf(`${name}/${index}`), floatData(pixelValues)];
    // transformers scales in 64 bits and normalises in 32 bits, dino8 does both in 32 bits.
    const furthest = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - (actual[at] ?? 1e9))), 0);
    expect(furthest).toBeLessThan(2e-6 * Math.max(1, ...expected.map(Math.abs)));
    const mask = golden.get(`${name}/${index}/mask`)?.bytes ?? new Uint8Array(validPixels.data.length).fill(1);
    expect([...validPixels.data].map(Number)).toEqual([...mask]);
  }
});

test.each(refused)('a setting that is not honoured is refused by name: $name', async ({ name, settings }) => {
  const setting = REFUSED[name] ?? /pad_size|size|image_mean|image_std|resample|rescale_factor|input_data_format/;
  const preparing = prepare(settings, pictureOf(0));
  await expect(preparing).rejects.toThrow(InputError);
  await expect(preparing).rejects.toThrow(setting);
});

test.each(honoured)('settings that are written are read back as the same: $name', ({ settings }) => {
  const read = parsePreprocessing(settings, 'the settings');
  const written = JSON.parse(JSON.stringify(completeSettings(settings, read)));
  expect(parsePreprocessing(written, 'the written settings')).toEqual(read);
});

describe('settings that are no settings', () => {
  test.each([
    [null],
    [[1]],
    ['text'],
    [{ toString: 1 }],
    [{ size: { __proto__: null, shortest_edge: 1e9, longest_edge: 2 } }],
  ])('%j', (settings) => expect(() => parsePreprocessing(settings, 'the settings')).toThrow(InputError));
});

test('images of different sizes are no batch without padding', async () => {
  const settings = parsePreprocessing({ do_pad: false, do_resize: false }, 'the settings');
  await using preprocessor = await Preprocessor.create(settings, 1);
  await expect(preprocessor.prepare([pictureOf(0), pictureOf(1)])).rejects.toThrow(/do_pad/);
});
