import { Command } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import {
  CALIBRATE_DEFAULTS,
  type CalibrateResult,
  calibrate,
  mergeStatistics,
  type ValueDependence,
} from '../pipeline/calibrate-step.ts';
import type { DatasetFiles } from '../pipeline/sources.ts';
import { addDatasetOptions, separateDataset } from './dataset-options.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { addPictureOptions, INPUTS_ARGUMENT, separatePictures } from './picture-options.ts';
import { work } from './progress-line.ts';
import {
  emaOption,
  jsonOption,
  overwriteOption,
  seedOption,
  shardOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';
import { refuseUnusedOptions } from './unused-options.ts';

/** `dino8 calibrate` */
export const calibrateCommand = () =>
  addPictureOptions(
    addPhraseOptions(
      addDatasetOptions(
        new Command('calibrate')
          .description(
            'Run a float model on images and record the statistics from which quantize chooses the ranges of static layers. Boxes are not needed; with --phrases, pictures without any labels will do.',
          )
          .argument(
            '<inputs...>',
            `a model and its inputs: ${INPUTS_ARGUMENT}; with --merge, the statistics files of all parts of one calibration`,
          )
          .requiredOption(
            '-o, --output <file>',
            'the statistics file to write; an interrupted calibration continues where it was',
          )
          .option(
            '--images <count>',
            `calibrate on this many images, chosen at random (default: ${CALIBRATE_DEFAULTS.images}, or all if there are fewer)`,
            wholeNumber('--images'),
          )
          .addOption(seedOption())
          .option(
            '--recipe <recipe>',
            'observe only the values that this recipe needs (default: those that any bundled recipe but full needs)',
          )
          .option('--everything', 'observe every value that any recipe may need; takes longer')
          .addOption(shardOption('--merge joins the files of all parts'))
          .option('--merge', 'join the statistics files of all parts'),
      ),
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
        'dino8 calibrate assets/nano assets/shapes/calib --images 64 -o statistics.json',
        'dino8 calibrate assets/nano assets/shapes/calib --phrases "red circle, blue square" --images 16 -o unlabelled.json',
        'dino8 calibrate assets/nano assets/shapes/calib --shard 1/2 -o part1.json',
        'dino8 calibrate assets/nano assets/shapes/calib --shard 2/2 -o part2.json',
        'dino8 calibrate --merge part1.json part2.json -o statistics.json',
      ),
    )
    .action(async (inputs, { merge, json, output, ...given }, command) => {
      if (merge) refuseUnusedOptions(command, ['merge', 'json', 'output'], 'with --merge');
      const { pictures, others } = separatePictures(given);
      const { named, others: rest } = separateDataset(others);
      const { phrase, phrases: listed, phrasesFile, ...options } = rest;
      const phrases = await phrasesOf({ phrase, phrases: listed, phrasesFile });
      keepsOnInterruption(`${output}.partial`);
      const result = merge
        ? await mergeStatistics({ parts: inputs, output, overwrite: options.overwrite, onNotice: notice })
        : await calibrate({ ...modelAndInputs(inputs, named), ...options, phrases, pictures, output, ...work() });
      if (json) return printJson(result);
      report(result);
    });

function modelAndInputs([model, dataset, ...rest]: readonly string[], named: (path: string) => string | DatasetFiles) {
  if (model === undefined || dataset === undefined || rest.length > 0)
    throw new UsageError('dino8 calibrate takes a model and its inputs; see --help.');
  return { model, dataset: named(dataset) };
}

/** Rows of the table: only values that are computed from the text depend much on the length of the prompt. */
const MAX_ROWS = 12;

function report({ output, images, skipped, values, textDependence }: CalibrateResult): void {
  const hasText = textDependence.some(({ widths }) => widths.length > 1);
  if (skipped.length > 0) print(`${skipped.length} images could not be read and were left out: ${skipped.join(', ')}.`);
  if (hasText) {
    print('Width of the range of the values that depend most on the length of the prompt, by tokens of the prompt:');
    print(dependenceTable(textDependence.slice(0, MAX_ROWS)));
  }
  print(`${output}: statistics of ${values} values on ${images - skipped.length} images.`);
}

function dependenceTable(rows: readonly ValueDependence[]): string {
  const lengths = [...new Set(rows.flatMap(({ widths }) => widths.map(({ tokens }) => tokens)))].toSorted(
    (a, b) => a - b,
  );
  return table(
    ['value', ...lengths.map((tokens) => (Number.isFinite(tokens) ? `≤ ${tokens}` : 'more')), 'factor'],
    rows.map(({ value, factor, widths }) => [
      value,
      ...lengths.map((tokens) => widths.find((entry) => entry.tokens === tokens)?.width.toPrecision(3) ?? '–'),
      factor.toFixed(2),
    ]),
  );
}
