/** Scores of groups of categories are compared with pycocotools 2.0.11, by which `bench/peers/make_group_golden.py` made the file. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readAnnotations } from '../data/datasets/coco-json.ts';
import type { CocoDetection } from './coco-detection.ts';
import { matchDetections } from './matches.ts';
import { scoreAbsent, scoreParaphrases, scoreSeen } from './open-vocabulary.ts';

const folder = join(packageRoot, 'test/fixtures/golden/coco');
const json = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
const RESAMPLES = { resamples: 50 };

interface Group {
  readonly categories: readonly number[];
  readonly AP: number;
}
const expected: Record<string, { seen: Group; unseen: Group }> = json('groups_expected');

/** pycocotools gives −1 where there is no object. */
const precisionOrNothing = ({ AP }: Group) => (AP < 0 ? undefined : AP);

async function matchesOf(name: string, factor = 1) {
  const truth = await readAnnotations(join(folder, `${name}_ground_truth.json`));
  const detections: CocoDetection[] = json(`${name}_detections`);
  return matchDetections(truth, detections.slice(0, Math.floor(detections.length * factor)));
}

test.each(Object.entries(expected))(
  'AP of seen and unseen categories is that of pycocotools: %s',
  async (name, groups) => {
    const matches = await matchesOf(name);
    const scores = await scoreSeen({ judged: matches }, new Set(groups.seen.categories), RESAMPLES);
    for (const group of ['seen', 'unseen'] as const) {
      const [value, wanted] = [scores[group].value, precisionOrNothing(groups[group])];
      if (wanted === undefined) expect(value).toBeUndefined();
      else expect(value).toBeCloseTo(wanted, 9);
    }
  },
);

test('a detector does not differ from itself, and with half of its boxes it is worse', async () => {
  const { seen } = expected.plain ?? { seen: { categories: [] } };
  const [all, half] = [await matchesOf('plain'), await matchesOf('plain', 0.5)];
  const of = (judged: typeof all, other: typeof all) =>
    scoreSeen({ judged, other }, new Set(seen.categories), RESAMPLES);
  expect((await of(all, all)).seen).toMatchObject({ change: 0, changeInterval: { low: 0, high: 0 } });
  const { seen: changed } = await of(half, all);
  expect(changed.change).toBeLessThan(0);
  expect(changed.changeInterval?.high).toBeLessThanOrEqual(0);
});

/** 20 images with one object of each of two categories, of which a detector finds those that `finds` says. */
function toyMatches(finds: (category: number, image: number) => boolean) {
  const images = Array.from({ length: 20 }, (_, index) => ({ id: index + 1, file_name: '', width: 9, height: 9 }));
  const bbox = [0, 0, 9, 9] as const;
  const objects = [1, 2].flatMap((category_id) => images.map(({ id: image_id }) => ({ image_id, category_id, bbox })));
  const annotations = objects.map((each, index) => ({ ...each, id: index + 1, area: 81, iscrowd: 0 as const }));
  const found = objects.filter(({ category_id, image_id }) => finds(category_id, image_id));
  const categories = [1, 2].map((id) => ({ id, name: `${id}` }));
  return matchDetections(
    { images, annotations, categories },
    found.map((each) => ({ ...each, score: 0.5 })),
  );
}

/** The AP of a category of which so many of 20 objects are found, without a wrong box: recall is read at 101 places. */
const precisionOf = (found: number) => (Math.floor((100 * found) / 20 + 1e-9) + 1) / 101;

describe('paraphrases', () => {
  test('are scored by their category alone', async () => {
    const original = toyMatches(() => true);
    const half = toyMatches((_, image) => image <= 10);
    const [first, second] = half.categories;
    if (!first || !second) throw new Error('there are two categories');
    const { phrases, mean } = await scoreParaphrases(
      { judged: original },
      [
        { category: { id: 1, name: 'one' }, phrase: 'uno', matches: { judged: first } },
        { category: { id: 2, name: 'two' }, phrase: 'due', matches: { judged: second } },
        { category: { id: 2, name: 'two' }, phrase: 'deux', matches: { judged: original.categories[1] ?? second } },
      ],
      RESAMPLES,
    );
    expect(phrases.map(({ original, paraphrased }) => [original.value, paraphrased.value])).toEqual([
      [1, expect.closeTo(precisionOf(10), 9)],
      [1, expect.closeTo(precisionOf(10), 9)],
      [1, 1],
    ]);
    expect(mean.difference.value).toBeCloseTo((2 / 3) * (precisionOf(10) - 1), 9);
    expect(phrases[2]?.difference).toMatchObject({ value: 0, interval: { low: 0, high: 0 } });
  });
});

describe('absent phrases', () => {
  test('cost the false alarms and the AP that are counted', async () => {
    const none = { matches: toyMatches(() => true), falseAlarms: Array<number>(20).fill(0) };
    const four = { matches: toyMatches((category) => category === 1), falseAlarms: Array<number>(20).fill(3) };
    const scores = await scoreAbsent(
      [
        { absent: 0, phrases: 2, found: { judged: none, other: none } },
        { absent: 4, phrases: 6, found: { judged: four, other: none } },
      ],
      RESAMPLES,
    );
    expect(scores.map(({ falseAlarms }) => [falseAlarms.value, falseAlarms.change])).toEqual([
      [0, 0],
      [3, 3],
    ]);
    // One of two categories is never found.
    expect(scores[1]?.averagePrecision.value).toBeCloseTo(0.5, 9);
    expect(scores[1]?.difference).toMatchObject({ value: -0.5, change: -0.5 });
    expect(scores[1]?.falseAlarms.interval).toEqual({ value: 3, low: 3, high: 3 });
  });
});
