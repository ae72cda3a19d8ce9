// Trains the bundled model further on the images of drawn shapes, with the rounding of two recipes in place and in FP32, each with
// three seeds, and scores all on the 500 validation images beside the checkpoint and the models that are only calibrated. --write
// puts the table into docs/training.md and its summary into README.md. What a run before has made is kept, so an interrupted run continues.
//
//   node bench/training-seeds.mjs SHAPES_TRAIN [OUTPUT_FOLDER] [--write]      (SEEDS=3 STEPS=100 RECIPES=full; about 15 minutes on 2 cores)
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrapScores } from '../dist/evaluate.mjs';
import { readDataset } from '../dist/index.mjs';
import { estimate, points, signed, verdict } from './figures.mjs';
import { keepIn } from './kept.mjs';
import { dino8, matchesOf, overSeeds, root, seedsHeading, seedsRow } from './seeds.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const { values: options, positionals } = readArguments();
const [shapes, output = join(root, '.dino8', 'training-seeds')] = positionals;
if (!shapes) misuse('usage: node bench/training-seeds.mjs SHAPES_TRAIN [OUTPUT_FOLDER] [--write]');
const [SEEDS, STEPS] = [Number(process.env.SEEDS ?? 3), Number(process.env.STEPS ?? 100)];
const RECIPES = (process.env.RECIPES ?? 'full').split(',');
const tables = openTables(['training-seeds', 'training-seeds-before', 'readme-training'], {
  write: options.write,
  settings: { SEEDS: [SEEDS, 3], STEPS: [STEPS, 100], RECIPES: [RECIPES, 'full'] },
});
keepIn(output, ['training-seeds']);
const CHECKPOINT = join(root, 'assets', 'nano');
const CALIBRATION = ['--calibration', join(root, 'assets', 'shapes', 'calib'), '--calibration-images', 128];
const at = (name) => join(output, name);

const [validation, training] = [await readDataset(join(root, 'assets', 'shapes', 'val')), await readDataset(shapes)];
const trainedCategories = new Set(training.annotations.map(({ category_id }) => category_id));
const categories = validation.categories.map(({ id }) => id).filter((id) => !trainedCategories.has(id));
console.log(
  `${training.images.length} images to train on; ${categories.length} phrases of the validation are not in them.`,
);
/** The matches of all phrases, and of those that no training has seen. */
const score = (model) => matchesOf(model, validation, [{}, { categories }]);
const [checkpoint, checkpointNew] = await score(CHECKPOINT);
const [before] = await bootstrapScores([checkpoint]);
const [beforeNew] = await bootstrapScores([checkpointNew]);
const sentences = [
  `The checkpoint scores ${estimate(before.figures.AP, points)} AP, and ${estimate(beforeNew.figures.AP, points)} on the ${categories.length} of ` +
    `${validation.categories.length} phrases that no training has seen.`,
];
for (const recipe of RECIPES) {
  const model = at(`${recipe}.onnx`);
  dino8(model, 'quantize', CHECKPOINT, '--recipe', recipe, ...CALIBRATION, '-o', model);
  const [, { figures, change }] = await bootstrapScores([checkpoint, (await score(model))[0]]);
  sentences.push(
    `Calibrated only, \`${recipe}\` scores ${estimate(figures.AP, points)}, a change of ${estimate(change.figures.AP, signed)}.`,
  );
}

/** The rates of all of them are stated, so that the table does not change with the defaults. */
const RATES = ['--learning-rate', 1e-4, '--rise', 0, '--backbone-rate', 1, '--average-decay', 0.99];

/** The further trainings: with the rounding of a recipe, and in FP32 as the control. */
const TRAININGS = [
  ...RECIPES.map((recipe) => ({
    label: `\`${recipe}\`, trained`,
    train(seed) {
      const model = at(`${recipe}-${seed}.onnx`);
      const settings = [
        '--recipe',
        recipe,
        '--batch',
        12,
        '--steps',
        STEPS,
        '--seed',
        seed,
        ...RATES,
        '--scale-rate',
        1,
      ];
      dino8(model, 'qat', CHECKPOINT, shapes, ...CALIBRATION, ...settings, '-o', model);
      return model;
    },
  })),
  {
    label: 'FP32 with the same training',
    train(seed) {
      const folder = at(`fp32-${seed}`);
      const settings = ['--batch', 12, '--steps', STEPS, '--seed', seed, ...RATES];
      dino8(join(folder, 'model.safetensors'), 'train', CHECKPOINT, shapes, ...settings, '-o', folder);
      return folder;
    },
  },
];
const results = TRAININGS.map(({ label }) => ({ label, AP: [], change: [], changeOfNew: [], against: [] }));
for (let seed = 0; seed < SEEDS; seed++) {
  const scored = [];
  for (const { train } of TRAININGS) scored.push(await score(train(seed)));
  const [control] = scored.at(-1);
  for (const [index, [all, ofNew]] of scored.entries()) {
    const [, { figures, change }] = await bootstrapScores([checkpoint, all]);
    const [, { change: changeOfNew }] = await bootstrapScores([checkpointNew, ofNew]);
    const [, { change: against }] = await bootstrapScores([control, all]);
    results[index].AP.push(figures.AP);
    results[index].change.push(change.figures.AP);
    results[index].changeOfNew.push(changeOfNew.figures.AP);
    results[index].against.push(against.figures.AP);
  }
}
tables.text('training-seeds-before', sentences.join('\n'));
const rowsOf = (key, format, chosen = results) =>
  chosen.map((result) => seedsRow({ label: result.label, estimates: result[key], format }));
const heading = seedsHeading(`AP on ${validation.images.length} images`, SEEDS);
const part = (title) => [`**${title}**`, ...heading.slice(1).map(() => '')];
tables.table('training-seeds', heading, [
  ...rowsOf('AP', points),
  part('change against the checkpoint'),
  ...rowsOf('change', signed),
  part('… of the phrases that no training has seen'),
  ...rowsOf('changeOfNew', signed),
  part('change against FP32 with the same training'),
  ...rowsOf('against', signed, results.slice(0, -1)),
]);
const meanOf = (estimates) => overSeeds(estimates.map(({ value }) => value));
const [trained, control] = [results[0], results.at(-1)];
const against = meanOf(trained.against);
tables.text(
  'readme-training',
  `After ${STEPS} further training steps, ${SEEDS} seeds each, \`${RECIPES[0]}\` with the rounding in training scores ` +
    `${estimate(meanOf(trained.AP), points)}\nand FP32 ${estimate(meanOf(control.AP), points)}, a difference of ${estimate(against, signed)}, ` +
    `${verdict(against)} ([docs/training.md](docs/training.md)).`,
);
tables.finish();
writeFileSync(at('training-seeds.json'), `${JSON.stringify({ before: before.figures.AP, results }, null, 1)}\n`);
