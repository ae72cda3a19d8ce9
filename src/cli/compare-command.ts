import { Command } from '@commander-js/extra-typings';
import { decibelsInWords } from '../base/format.ts';
import { MIN_IMAGES } from '../evaluate/bootstrap.ts';
import { points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import type { OutputDifference } from '../models/family.ts';
import { COMPARE_DEFAULTS, type CompareResult, compare } from '../pipeline/compare-step.ts';
import { addDatasetOptions, separateDataset } from './dataset-options.ts';
import { examples } from './examples.ts';
import { print, printJson } from './output.ts';
import { addPictureOptions, INPUTS_ARGUMENT, separatePictures } from './picture-options.ts';
import { work } from './progress-line.ts';
import {
  emaOption,
  jsonOption,
  notNegative,
  overwriteOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** At 20 dB, the noise has a tenth of the amplitude of the signal. */
const DEFAULT_FLOOR = 20;
/** Rows of each table. */
const MAX_ROWS = 15;

/** `dino8 compare` */
export const compareCommand = () =>
  addPictureOptions(
    addDatasetOptions(
      new Command('compare')
        .description('Compare a quantized model with its float model: by layer, by box, by image, and by phrase.')
        .argument('<model>', 'the float model')
        .argument('<quantized>', 'the model that dino8 quantize made of it')
        .argument('<inputs>', INPUTS_ARGUMENT)
        .option(
          '--images <count>',
          'compare on the first <count> images or other inputs',
          wholeNumber('--images'),
          COMPARE_DEFAULTS.images,
        )
        .option(
          '--floor <decibels>',
          'name the first layer whose signal-to-noise ratio is below this',
          notNegative('--floor'),
          DEFAULT_FLOOR,
        )
        .option('--no-accuracy', 'do not score both models on the labelled images, which takes as long again')
        .option('--report <file>', 'write tables and a chart as one HTML file'),
    ),
  )
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 convert assets/nano -o nano.onnx && dino8 quantize nano.onnx --recipe dynamic -o nano.int8.onnx',
        'dino8 compare nano.onnx nano.int8.onnx assets/shapes/val --images 16',
      ),
    )
    .action(async (model, quantized, dataset, { floor, json, ...given }) => {
      const { pictures, others } = separatePictures(given);
      const { named, others: options } = separateDataset(others);
      const comparison = await compare({ ...options, model, quantized, dataset: named(dataset), pictures, ...work() });
      if (json) return printJson(comparison);
      describe(comparison, floor);
    });

function describe(
  { layers, samples, count, figures, outputFigures, phrases = [], accuracy }: CompareResult,
  floor: number,
): void {
  const worst = layers.toSorted((a, b) => a.decibels - b.decibels);
  print(
    firstRows(worst, 'layers, those with most noise', (shown) =>
      table(
        ['layer', 'signal to noise'],
        shown.map(({ path, decibels }) => [path, decibelsInWords(decibels)]),
      ),
    ),
  );
  const first = layers.find(({ decibels }) => decibels < floor);
  print(first ? `The first layer below ${floor} dB is ${first.path}.\n` : `No layer is below ${floor} dB.\n`);
  const cells = ({ count: compared, figures: of }: OutputDifference) =>
    outputFigures.map(({ key }) => (compared > 0 ? (of[key]?.toFixed(4) ?? '–') : '–'));
  print(
    firstRows(samples, 'inputs, those that changed most', (shown) =>
      table(
        ['input', 'compared', ...outputFigures.map(({ title }) => title)],
        shown.map((sample) => [sample.source, `${sample.count}`, ...cells(sample)]),
      ),
    ),
  );
  const means = outputFigures.map(({ title }, index) => `${title} ${cells({ count, figures })[index]}`);
  print(
    count > 0
      ? `Mean over ${count} compared results: ${means.join(', ')}.`
      : 'The float model gives no result to compare for these inputs.',
  );
  if (phrases.length > 0) print(`\n${describeDrift(phrases)}\n`);
  if (!accuracy) return;
  const { intervals, change } = accuracy;
  print(
    `AP of the quantized model in these ${accuracy.images} images: ${points(accuracy.figures.AP)} (95 % interval ${pointsInterval(intervals.AP)}).`,
  );
  if (change?.AP)
    print(
      `Change against the float model: ${signedPoints(change.AP.value)} (95 % interval ${signedInterval(change.AP)}): ${verdict(change.AP)}.`,
    );
  else print(`Fewer than ${MIN_IMAGES} images with objects do not tell whether AP changed.`);
}

/** The first rows of a table, and a line that says how many there are if not all are shown. */
function firstRows<Row>(rows: readonly Row[], what: string, format: (shown: readonly Row[]) => string): string {
  const shown = format(rows.slice(0, MAX_ROWS));
  return rows.length <= MAX_ROWS ? shown : `${shown}\nThese are ${MAX_ROWS} of ${rows.length} ${what}; --json has all.`;
}

/** The drift of logits, over all boxes that the float model finds and over those to which it gives the phrase. */
function describeDrift(phrases: NonNullable<CompareResult['phrases']>): string {
  const boxes = phrases[0]?.all.queries ?? 0;
  if (boxes === 0) return 'The float model finds no box in these images, so that no logits of phrases are compared.';
  const cells = ({ queries, mean, highest }: (typeof phrases)[number]['all']) =>
    queries === 0 ? ['–', '–'] : [mean.toFixed(3), highest.toFixed(3)];
  const rows = firstRows(phrases, 'phrases', (shown) =>
    table(
      ['phrase', 'mean', 'largest', 'its own boxes', 'mean', 'largest'],
      shown.map(({ phrase, all, own }) => [phrase, ...cells(all), `${own.queries}`, ...cells(own)]),
    ),
  );
  return `How far the logits of each phrase moved, over the ${boxes} boxes that the float model finds, and over those of them to which it gives the phrase (0.1 moves a score by at most 0.025):\n${rows}`;
}
