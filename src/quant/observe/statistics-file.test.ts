/** Statistics files are read as they were written, and files that cannot be a calibration are refused. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.ts';
import { toyFeeds, toyModel } from '../../testing/toy-model.ts';
import { observableValues } from '../observable-values.ts';
import { calibrate } from './calibrate.ts';
import { listedSamples } from './sample.ts';
import { type Calibration, parseStatistics, readStatistics, writeStatistics } from './statistics-file.ts';

async function calibration(): Promise<Calibration> {
  const model = toyModel();
  const samples = listedSamples([0, 1].map((place) => ({ place, tokens: 5, feeds: toyFeeds(place) })));
  const statistics = await calibrate(model, observableValues(model), samples);
  return { model: 'toy', plan: 'listed', images: 2, shard: null, done: 2, skipped: [], statistics };
}

/** A statistics file as it is on disk. */
async function written(): Promise<{ path: string; content: Record<string, unknown> }> {
  const path = join(await mkdtemp(join(tmpdir(), 'dino8-statistics-')), 'statistics.json');
  await writeStatistics(await calibration(), path);
  return { path, content: JSON.parse(await readFile(path, 'utf8')) };
}

test('a statistics file is read as it was written, and under the former name of the format with a notice', async () => {
  const { path, content } = await written();
  const expected = await calibration();
  expect(await readStatistics(path)).toEqual(expected);
  const notices: string[] = [];
  const onNotice = (notice: string) => notices.push(notice);
  expect(parseStatistics(content, 'it', { onNotice })).toEqual(expected);
  expect(notices).toEqual([]);
  expect(parseStatistics({ ...content, format: 'dino8-ranges-1' }, 'it', { onNotice })).toEqual(expected);
  expect(notices).toEqual([expect.stringMatching(/^it has the former format/)]);
});

test.each([
  [{ shard: { index: 3, count: 2 } }, /at shard: the part is beyond the number of parts/],
  [{ skipped: ['a.jpg', 'a.jpg'] }, /at skipped: a file occurs twice/],
  [{ format: 'other' }, /a file that dino8 calibrate wrote/],
  [{ done: 3 }, /at done: more images are done than there are/],
  [{ shard: { index: 1, count: 2 ** 40 } }, /at shard.count/],
])('%j is refused', async (change, message) => {
  const { content } = await written();
  expect(() => parseStatistics({ ...content, ...change }, 'it')).toThrow(message);
  expect(() => parseStatistics({ ...content, ...change }, 'it')).toThrow(InputError);
});

/** The channels of a file. */
const channels = (min: readonly number[], max: readonly number[]) => {
  const text = (array: Float32Array | Float64Array) => Buffer.from(array.buffer).toString('base64');
  const mean = new Float64Array(min.length);
  return { min: text(Float32Array.from(min)), max: text(Float32Array.from(max)), mean: text(mean) };
};

test.each([
  [{ min: 2, max: 1 }, /the minimum is above the maximum/],
  [{ min: null, max: 1 }, /one of them is missing/],
  [{ min: -1e308, max: 1e308 }, /\.min/],
  [{ channels: channels([0, 1], [1, 0]) }, /has a channel whose minimum is above its maximum/],
  [{ channels: channels([0], [Number.NaN]) }, /or no number/],
  [
    {
      lengths: [
        { tokens: 16, images: 1, min: 0, max: 1 },
        { tokens: 16, images: 1, min: 0, max: 1 },
      ],
    },
    /a length occurs twice/,
  ],
  [{ lengths: [{ tokens: 16, images: 1, min: 1, max: 0 }] }, /the minimum is above the maximum/],
])('a value with %j is refused', async (change, message) => {
  const { content } = await written();
  const values = content.values;
  if (typeof values !== 'object' || values === null) throw new Error('the file has values');
  const [[name, first] = []] = Object.entries(values);
  expect(() => parseStatistics({ ...content, values: { [name ?? '']: { ...first, ...change } } }, 'it')).toThrow(
    message,
  );
});
