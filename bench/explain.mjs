// Says what 8 bits do to the bundled model, module by module and word by word. Interrupted, it goes on. --write puts the tables into
// docs/accuracy.md (modules) and docs/open-vocabulary.md.
//
//   npm run bench:explain [-- --write]        (IMAGES=100; RECIPE=mixed)
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  bundledCalibration,
  bundledModel,
  bundledValidation,
  contribution,
  convert,
  quantize,
  readDataset,
  vocabulary,
} from '../dist/index.mjs';
import { keepIn } from './kept.mjs';
import { openTables, readArguments } from './write-table.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const work = join(root, '.dino8', 'explain');
const images = Number(process.env.IMAGES ?? 100);
const recipe = process.env.RECIPE ?? 'mixed';
const { values: options } = readArguments();
const WORDS = ['words-settings', 'words-unseen', 'words-paraphrases', 'words-absent'];
const TABLES = ['modules-settings', 'modules-savings', 'modules-precision', ...WORDS];
const tables = openTables(TABLES, {
  write: options.write,
  settings: { IMAGES: [images, 100], RECIPE: [recipe, 'mixed'] },
});
keepIn(work, TABLES);
const at = (name) => join(work, name);
const onProgress = ({ label, done, total }) => {
  if (done === total) console.log(`${label} ${done}/${total}`);
};

const points = (value) => (value === undefined ? '–' : (100 * value).toFixed(2));
const signed = (value, factor = 100) =>
  value === undefined ? '–' : `${value >= 0 ? '+' : '−'}${Math.abs(factor * value).toFixed(2)}`;
const interval = (estimate, text) => (estimate ? ` (${text(estimate.low)} to ${text(estimate.high)})` : '');
const share = (value) => (value === undefined ? '–' : `${(100 * value).toFixed(1)} %`);
const calibration = { model: bundledModel(), recipe, calibration: bundledCalibration(), onProgress };
const { modules, averagePrecision, rounds } = await contribution({
  ...calibration,
  dataset: bundledValidation(),
  images,
  output: at('contribution.json'),
});
const ms = ({ median, lowest, highest }) =>
  `${(1000 * median).toFixed(1)} (${(1000 * lowest).toFixed(1)} to ${(1000 * highest).toFixed(1)})`;
const change = (name, each) => [name, `${signed(each.change)}${interval(each.interval, signed)}`, share(each.share)];
tables.text(
  'modules-settings',
  `With the recipe \`${recipe}\`. Times are medians and ranges of ${rounds} rounds; AP is of ${averagePrecision.images} images:\n` +
    `FP32 ${points(averagePrecision.float)}, INT8 ${points(averagePrecision.quantized)}.`,
);
tables.table(
  'modules-savings',
  ['module', 'FP32, MB', 'INT8, MB', 'share of saved bytes', 'FP32, ms', 'INT8, ms', 'share of saved time'],
  modules.map(({ name, bytes, seconds }) => [
    name,
    (bytes.float / 1e6).toFixed(2),
    (bytes.quantized / 1e6).toFixed(2),
    share(bytes.share),
    ms(seconds.float),
    ms(seconds.quantized),
    share(seconds.share),
  ]),
);
tables.table(
  'modules-precision',
  ['in INT8', 'change of AP', 'share of the change'],
  [
    ...modules.flatMap(({ name, averagePrecision: each }) => (each ? [change(`only the ${name}`, each)] : [])),
    change('what they do to each other', averagePrecision.together),
    change('the whole', averagePrecision.whole),
  ],
);

/** The phrases that the bundled model was never trained with. */
const dataset = await readDataset(bundledValidation());
const unseen = dataset.categories.filter(({ supercategory }) => supercategory === 'novel').map(({ name }) => name);
const paraphrases = {
  'red circle': ['circle that is red', 'crimson circle'],
  'yellow star': ['star in yellow', 'golden star'],
  'purple circle': ['circle of purple', 'purple disc'],
};
await convert({ checkpoint: bundledModel(), output: at('fp32.onnx') });
await quantize({ ...calibration, output: at('int8.onnx') });
const words = await vocabulary({
  model: at('int8.onnx'),
  against: at('fp32.onnx'),
  dataset: bundledValidation(),
  images,
  unseen,
  paraphrases,
  absent: true,
  output: at('vocabulary.json'),
  onProgress,
});
const value = (number) => `${points(number.value)}${interval(number.interval, points)}`;
const difference = (number) => `${signed(number.value)}${interval(number.interval, signed)}`;
const changed = (number) => `${signed(number.change)}${interval(number.changeInterval, signed)}`;
const count = (number) => `${number.value.toFixed(2)}${interval(number.interval, (end) => end.toFixed(2))}`;
const { seen, absent } = words;
tables.text(
  'words-settings',
  `The INT8 model of the recipe \`${recipe}\` on ${words.images} images; the change is from FP32. Figures in brackets are 95 % confidence\n` +
    'intervals; a phrase in fewer than 10 images has none.',
);
tables.table(
  'words-unseen',
  ['phrases', 'AP', 'change in INT8'],
  [
    [`${seen.seenCategories} seen in training`, value(seen.seen), changed(seen.seen)],
    [`${seen.unseenCategories} never seen`, value(seen.unseen), changed(seen.unseen)],
    ['never seen − seen', difference(seen.difference), changed(seen.difference)],
  ],
);
tables.table(
  'words-paraphrases',
  ['category', 'phrase in its place', 'AP by its name', 'AP', 'difference', 'change in INT8'],
  [...words.paraphrases.phrases, { category: 'mean', phrase: '', ...words.paraphrases.mean }].map((row) => [
    row.category,
    row.phrase,
    points(row.original.value),
    points(row.paraphrased.value),
    difference(row.difference),
    changed(row.paraphrased),
  ]),
);
tables.table(
  'words-absent',
  ['absent phrases', 'all phrases', 'false alarms an image', 'AP', 'lost by absent phrases', 'change in INT8'],
  absent.map((row) => [
    row.absent,
    row.phrases.toFixed(1),
    count(row.falseAlarms),
    value(row.averagePrecision),
    difference(row.difference),
    changed(row.averagePrecision),
  ]),
);
tables.finish();
