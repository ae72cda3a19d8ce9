/** The rows of a contribution add up to the whole: to the size of the file, to the time of a run, and to the change of AP. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bundledModel } from '../data/bundled.ts';
import { readHuggingFace } from '../models/grounding-dino/checkpoint/hugging-face.ts';
import { moduleOf } from '../models/model-modules.ts';
import { readPackage } from '../models/package/package.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { elementCount } from '../onnx/types.ts';
import { writeModel } from '../onnx/write.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import {
  bytesByModule,
  NO_MODULE,
  precisionContributions,
  savings,
  secondsByModule,
  spreadSavings,
} from './contribution.ts';
import { matchDetections } from './matches.ts';

const source = await readPackage(bundledModel());
const { modules } = source.family;
const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

test('every node of the model belongs to a module, but for two that copy results', () => {
  const without = source.model.graph.node.filter((node) => moduleOf(modules, modulePath(node)) === undefined);
  expect(without.length).toBeLessThanOrEqual(2);
});

test('the bytes of the modules are those of the checkpoint, and all rows are the file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dino8-contribution-'));
  const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
  const [float, quantized] = [bytesByModule(source.model, modules), bytesByModule(model, modules)];
  for (const [each, bytes] of [
    [source.model, float],
    [model, quantized],
  ] as const) {
    const path = join(folder, 'model.onnx');
    await writeModel(each, path);
    expect(sum(bytes.values())).toBe((await stat(path)).size);
  }
  await rm(folder, { recursive: true });
  const { tensors } = await readHuggingFace(bundledModel());
  const backbone = [...tensors].filter(([name]) => /^model\.(backbone|input_proj_vision)\./.test(name));
  const trained = backbone.filter(([name]) => !name.endsWith('relative_position_index'));
  const bytes = 4 * sum(trained.map(([, { shape }]) => elementCount(shape)));
  // The graph has the masks of the four kinds of shifted windows of 49 tokens, in floats, and the indices of relative positions as well.
  const masks = 4 * 49 ** 2 * 4;
  expect(((float.get('image backbone') ?? 0) - masks) / bytes).toBeGreaterThan(1);
  expect(((float.get('image backbone') ?? 0) - masks) / bytes).toBeLessThan(1.1);
  const saved = savings(float, quantized);
  expect(sum([...saved.values()].map(({ share = 0 }) => share))).toBeCloseTo(1, 12);
  expect(saved.get('image backbone')?.share).toBeGreaterThan(0.5);
});

test('the seconds of all rows are those of the run, and little belongs to no module', async () => {
  const feeds = source.family.blankFeeds(source, { tokens: 8 });
  const seconds = await secondsByModule(source.model, feeds, modules);
  expect([...seconds.keys()]).toEqual([...modules.map(({ name }) => name), NO_MODULE]);
  expect(seconds.get(NO_MODULE)).toBeLessThan(0.2 * sum(seconds.values()));
});

test('medians of what rounds save are not the differences of the medians, and their shares are 1 together', () => {
  const round = (a: number, b: number) => new Map(Object.entries({ a, b }));
  const rows = spreadSavings([round(10, 5), round(30, 5), round(20, 6)], [round(5, 5), round(20, 7), round(19, 5)]);
  // a saves 5, 10 and 1; b saves 0, -2 and 1
  expect(rows.get('a')?.saved).toEqual({ median: 5, lowest: 1, highest: 10 });
  expect(rows.get('b')?.saved).toEqual({ median: 0, lowest: -2, highest: 1 });
  expect([rows.get('a')?.share, rows.get('b')?.share]).toEqual([1, 0]);
});

/** Images with an object each, of which a detector finds those that `finds` says: the AP is their part of all. */
function matchesOf(finds: (image: number) => boolean) {
  const images = Array.from({ length: 100 }, (_, index) => ({ id: index + 1, file_name: '', width: 9, height: 9 }));
  const bbox = [0, 0, 9, 9] as const;
  const object = { category_id: 1, bbox, area: 81, iscrowd: 0 as const };
  const annotations = images.map(({ id }) => ({ ...object, id, image_id: id }));
  const found = images.filter(({ id }) => finds(id));
  const detections = found.map(({ id }) => ({ image_id: id, category_id: 1, bbox, score: 0.5 }));
  return matchDetections({ images, annotations, categories: [{ id: 1, name: 'object' }] }, detections);
}

test('what modules do to each other is the rest of the change', async () => {
  const float = matchesOf(() => true);
  const first = { name: 'first', matches: matchesOf((image) => image > 10) };
  const second = { name: 'second', matches: matchesOf((image) => image > 20) };
  const whole = matchesOf((image) => image > 50);
  const { byModule, summary } = await precisionContributions(float, whole, [first, second], { resamples: 200 });
  // Precision is 1 at all of the 101 recalls that are reached: 0, 0.01, ... 0.50 of the whole.
  expect(summary.whole.change).toBeCloseTo(-50 / 101, 9);
  expect(byModule.get('first')?.change).toBeCloseTo(-10 / 101, 9);
  expect(summary.together.change).toBeCloseTo(-20 / 101, 9);
  // The images 21 to 50 count once and 1 to 10 against them: a variance of (0.3 + 0.1 - 0.2 ** 2) / 100 around 0.2.
  const { interval, share } = summary.together;
  expect(interval?.low).toBeCloseTo(-0.2 - 1.96 * 0.06, 1);
  expect(interval?.high).toBeCloseTo(-0.2 + 1.96 * 0.06, 1);
  expect((byModule.get('first')?.share ?? 0) + (byModule.get('second')?.share ?? 0) + (share ?? 0)).toBeCloseTo(1, 9);
});
