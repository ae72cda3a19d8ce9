import { Command } from '@commander-js/extra-typings';
import { decimal, shareInPercent } from '../base/format.ts';
import type { PrecisionContribution } from '../evaluate/contribution.ts';
import { points, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import { CONTRIBUTION_DEFAULTS, type ContributionResult, contribution } from '../pipeline/contribution-step.ts';
import { addDatasetOptions, DATASET_ARGUMENT, separateDataset } from './dataset-options.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import {
  addCalibrationOptions,
  emaOption,
  jsonOption,
  overwriteOption,
  recipeOption,
  seedOption,
  statisticsOf,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 contribution` */
export const contributionCommand = () =>
  addCalibrationOptions(
    addDatasetOptions(
      new Command('contribution')
        .description(
          'Say how much of what INT8 saves and costs is due to each module of a detector (image backbone, text encoder, encoder, decoder, heads): bytes, time, and average precision (AP) with only this module in INT8.',
        )
        .argument('<model>', 'the float model of a detector')
        .argument('<dataset>', DATASET_ARGUMENT)
        .addOption(recipeOption('the recipe that the model is quantized by', CONTRIBUTION_DEFAULTS.recipe))
        .option(
          '--images <count>',
          'score the first <count> images',
          wholeNumber('--images'),
          CONTRIBUTION_DEFAULTS.images,
        )
        .option(
          '--rounds <count>',
          'time both models this many times, in turns; 0 leaves the times out',
          wholeNumber('--rounds', 0),
          CONTRIBUTION_DEFAULTS.rounds,
        )
        .option('--no-accuracy', 'leave out the AP, for which as many models are scored as there are modules, and two')
        .addOption(seedOption()),
    ),
  )
    .option(
      '-o, --output <file>',
      'write the result as JSON; interrupted work is kept in the folder <file>.partial and continues there',
    )
    .option('--report <file>', 'write tables and charts as one HTML file')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 contribution assets/nano assets/shapes/val --calibration assets/shapes/calib -o contribution.json',
        'dino8 contribution assets/nano assets/shapes/val --recipe dynamic --no-accuracy --report contribution.html',
      ),
    )
    .action(async (model, dataset, { json, ...given }) => {
      const { named, calibration, others } = separateDataset(given);
      const { ranges, statistics, ...options } = others;
      keepsOnInterruption(options.output && `${options.output}.partial`);
      const result = await contribution({
        ...options,
        model,
        dataset: named(dataset),
        calibration,
        statistics: statisticsOf({ statistics, ranges }),
        ...work(),
      });
      if (json) return printJson(result);
      describe(result);
    });

function describe({ recipe, modules, averagePrecision, rounds }: ContributionResult): void {
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  const sizes = modules.map(({ bytes }) => bytes);
  const ofBytes = (read: (saving: (typeof sizes)[number]) => number) => total(sizes.map(read));
  const bytes = [
    ...modules.map(({ name, bytes: { float, quantized, saved, share } }) => ({ name, float, quantized, saved, share })),
    {
      name: 'all',
      float: ofBytes(({ float }) => float),
      quantized: ofBytes(({ quantized }) => quantized),
      saved: ofBytes(({ saved }) => saved),
      share: total(sizes.map(({ share = 0 }) => share)),
    },
  ];
  print(
    table(
      [`module, recipe ${recipe}`, 'FP32', 'INT8', 'saved', 'share'],
      bytes.map(({ name, float, quantized, saved, share }) => [
        name,
        ...[float, quantized, saved].map((value) => `${decimal(value / 1e6)} MB`),
        shareInPercent(share),
      ]),
    ),
  );
  printSeconds(modules, rounds);
  if (!averagePrecision) return;
  const cells = (name: string, { change, interval, share }: PrecisionContribution) => [
    name,
    signedPoints(change),
    signedInterval(interval),
    verdict(interval),
    shareInPercent(share),
  ];
  const alone = modules.flatMap(({ name, averagePrecision: change }) =>
    change ? [cells(`only the ${name}`, change)] : [],
  );
  const { images, float, quantized, together, whole } = averagePrecision;
  print(
    `\n${table(
      ['in INT8', 'change of AP', '95 % interval', '', 'share'],
      [...alone, cells('what they do to each other', together), cells('the whole', whole)],
    )}`,
  );
  print(`AP on ${images} images: FP32 ${points(float)}, INT8 ${points(quantized)}.`);
}

function printSeconds(modules: ContributionResult['modules'], rounds: number): void {
  const timed = modules.flatMap(({ name, seconds }) => (seconds ? [{ name, ...seconds }] : []));
  if (timed.length === 0) return;
  const ms = (seconds: number) => decimal(1000 * seconds);
  const rows = timed.map(({ name, float, quantized, saved, share }) => [
    name,
    ...[float, quantized, saved].map(
      ({ median, lowest, highest }) => `${ms(median)} (${ms(lowest)} to ${ms(highest)})`,
    ),
    shareInPercent(share),
  ]);
  print(`\n${table(['module', 'FP32, ms', 'INT8, ms', 'saved, ms', 'share'], rows)}`);
  print(
    `Times are medians and ranges of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}. The text encoder runs in each of them; in use it runs once for a prompt.`,
  );
}
