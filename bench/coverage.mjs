// How often do the confidence intervals hold the truth? Draws small data sets from a large simulated one whose AP is known, with
// two detectors of known quality, and counts how often the intervals of AP and of the difference hold the AP of the large one.
//
//   node bench/coverage.mjs [--write]            (SETS=200 data sets of each size; RESAMPLES=1000)
//
// --write puts the table into docs/accuracy.md.
import { bootstrapScores, matchDetections, scoreMatches } from '../dist/evaluate.mjs';
import { points, signed } from './figures.mjs';
import { openTables, readArguments } from './write-table.mjs';

const sets = Number(process.env.SETS ?? 200);
const resamples = Number(process.env.RESAMPLES ?? 1000);
const POPULATION = 20_000;
const { values: options } = readArguments();
const tables = openTables(['coverage'], {
  write: options.write,
  settings: { SETS: [sets, 200], RESAMPLES: [resamples, 1000] },
});

/** mulberry32, a small generator of uniform numbers: the simulation must not share the bootstrap's. */
function uniform(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One image: objects of its categories, and what two detectors of similar quality find; difficulty is shared by both. */
function makeImage(random, categories) {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const difficulty = Math.abs(normal());
  const objects = [];
  const found = [[], []];
  const count = 1 + Math.floor(6 * random());
  for (let index = 0; index < count; index++) {
    const category = Math.floor(categories * random() ** 2);
    const size = 20 + 150 * random();
    const box = [400 * random(), 400 * random(), size, size * (0.5 + random())];
    objects.push({ category, box });
    const shift = normal();
    for (const [which, list] of found.entries()) {
      const noise = (0.03 + 0.05 * difficulty) * size * (which === 0 ? 1 : 1.05);
      const moved = box.map((value, at) => value + noise * (0.7 * shift + 0.5 * normal()) * (at < 2 ? 1 : 0.5));
      if (random() < 0.92 - 0.1 * difficulty)
        list.push({ category, box: moved, score: 0.7 - 0.15 * difficulty + 0.15 * normal() });
    }
  }
  for (const list of found)
    for (let index = 0; index < 6; index++)
      list.push({
        category: Math.floor(categories * random()),
        box: [400 * random(), 400 * random(), 80, 80],
        score: 0.3 + 0.18 * normal(),
      });
  return { objects, found };
}

function dataset(images, categories) {
  const truth = {
    images: images.map((_, index) => ({ id: index + 1, file_name: `${index}.jpg`, width: 500, height: 500 })),
    categories: Array.from({ length: categories }, (_, id) => ({ id: id + 1, name: `${id}` })),
    annotations: images.flatMap(({ objects }, index) =>
      objects.map(({ category, box }, at) => ({
        id: 1 + index * 10 + at,
        image_id: index + 1,
        category_id: category + 1,
        bbox: box,
        area: box[2] * box[3],
        iscrowd: 0,
      })),
    ),
  };
  return [0, 1].map((which) =>
    matchDetections(
      truth,
      images.flatMap(({ found }, index) =>
        found[which].map(({ category, box, score }) => ({
          image_id: index + 1,
          category_id: category + 1,
          bbox: box,
          score,
        })),
      ),
    ),
  );
}

const rows = [];
for (const categories of [3, 30]) {
  const random = uniform(categories);
  const population = Array.from({ length: POPULATION }, () => makeImage(random, categories));
  const [first, second] = dataset(population, categories).map((matches) => scoreMatches(matches).figures.AP);
  process.stderr.write(`${categories} categories: AP ${points(first)}, change ${signed(second - first)}\n`);
  for (const images of [10, 20, 50, 200, 500]) {
    const counts = { AP: 0, change: 0 };
    let [width, bias] = [0, 0];
    for (let set = 0; set < sets; set++) {
      const drawn = Array.from({ length: images }, () => population[Math.floor(POPULATION * random())]);
      const [one, two] = await bootstrapScores(dataset(drawn, categories), { resamples, seed: set });
      const { AP } = one.figures;
      const change = two.change.figures.AP;
      if (!AP) continue;
      if (AP.low <= first && first <= AP.high) counts.AP++;
      if (change.low <= second - first && second - first <= change.high) counts.change++;
      width += (change.high - change.low) / sets;
      bias += (AP.value - first) / sets;
    }
    const share = (count) => `${((100 * count) / sets).toFixed(1)} %`;
    rows.push([
      String(categories),
      String(images),
      share(counts.change),
      points(width),
      share(counts.AP),
      signed(bias),
    ]);
    process.stderr.write(`${rows.at(-1).join(' | ')}\n`);
  }
}
tables.table(
  'coverage',
  [
    'categories',
    'images',
    'change within its interval',
    'mean width, points',
    'AP within its interval',
    'AP too high by',
  ],
  rows,
);
tables.finish();
