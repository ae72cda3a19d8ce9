import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import { megabytes, milliseconds } from '../base/format.ts';
import { points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import { COMPRESS_DEFAULTS, type CompressedVariant, type CompressResult } from '../pipeline/compress-options.ts';
import { compress } from '../pipeline/compress-step.ts';
import { bundledRecipes } from '../quant/recipe.ts';
import { decide, type Gain, memoryGain, sizeGain, speedGain } from '../report/verdict.ts';
import { TRAINING_DEFAULTS } from '../train/training-settings.ts';
import { reportedCommandLine } from './command-line.ts';
import {
  addCalibrationDatasetOptions,
  addDatasetOptions,
  CHECKPOINT_ARGUMENT,
  DATASET_ARGUMENT,
  separateDataset,
} from './dataset-options.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import {
  allowedDropOption,
  emaOption,
  fraction,
  jsonOption,
  notNegative,
  overwriteOption,
  positive,
  seedOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

const qatDistil: number = TRAINING_DEFAULTS.distil;
const images: number = COMPRESS_DEFAULTS.images;
const calibrationImages: number = COMPRESS_DEFAULTS.calibrationImages;

/** `dino8 compress` */
export const compressCommand = () =>
  addCalibrationDatasetOptions(
    addDatasetOptions(
      new Command('compress')
        .description(
          'Make INT8 models of a checkpoint by several recipes, score and measure each beside FP32, and write a report. Nothing is calibrated or trained on the images that are scored. An interrupted command continues at the step where it was; if an option or an input has changed, the steps that depend on it are done again, and a note names the change.',
        )
        .argument('<checkpoint>', CHECKPOINT_ARGUMENT)
        .argument('<dataset>', DATASET_ARGUMENT)
        .requiredOption(
          '-o, --output <folder>',
          'the folder to write: the models, report.html, results.json, and the state of the work',
        )
        .addOption(
          new Option(
            '--recipes <list>',
            `the recipes to compare, separated by commas: bundled ones (${bundledRecipes().join(', ')}) or paths of YAML files`,
          )
            .argParser((text) => text.split(',').flatMap((name) => name.trim() || []))
            .default([...COMPRESS_DEFAULTS.recipes], COMPRESS_DEFAULTS.recipes.join(',')),
        )
        .option(
          '--calibration <dataset>',
          'calibrate and train on this other data set (default: a part of <dataset> that is not scored)',
        )
        .option(
          '--set-aside <fraction>',
          `fraction of the images of <dataset> to set aside for calibration and training (default: ${COMPRESS_DEFAULTS.setAside})`,
          fraction('--set-aside'),
        )
        .option(
          '--calibration-images <count>',
          'calibrate on this many images, chosen at random',
          wholeNumber('--calibration-images'),
          calibrationImages,
        )
        .option(
          '--images <count>',
          'score only the first <count> images that are not set aside',
          wholeNumber('--images'),
          images,
        )
        .option(
          '--runs <count>',
          'number of timed runs in each of the three processes in which a model is measured',
          wholeNumber('--runs'),
          COMPRESS_DEFAULTS.runs,
        )
        .addOption(seedOption()),
    ),
  )
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(allowedDropOption().default(COMPRESS_DEFAULTS.allowedDrop))
    .option('--report <file>', 'the HTML file of the report (default: report.html in the folder of -o)')
    .option('--fresh', 'forget what an earlier command did in this folder, and do every step again')
    .addOption(jsonOption())
    .optionsGroup('Quantization-aware training:')
    .option('--qat', 'train one more model with quantization in place, which is the longest step')
    .option('--qat-recipe <recipe>', 'the recipe that is trained', COMPRESS_DEFAULTS.qatRecipe)
    .option(
      '--qat-epochs <count>',
      'number of passes over the training images (default: as many as dino8 qat chooses for their number)',
      positive('--qat-epochs'),
    )
    .option('--qat-steps <count>', 'number of training steps, in place of --qat-epochs', wholeNumber('--qat-steps'))
    .option(
      '--qat-batch <images>',
      'number of images that are computed together (default: as dino8 qat chooses)',
      wholeNumber('--qat-batch'),
    )
    .option(
      '--qat-accumulate <batches>',
      'number of batches whose gradients are added up for one training step (default: as dino8 qat chooses)',
      wholeNumber('--qat-accumulate'),
    )
    .option(
      '--qat-learning-rate <rate>',
      'maximum learning rate of the training (default: as dino8 qat chooses for the width of the model)',
      positive('--qat-learning-rate'),
    )
    .option(
      '--qat-distil <weight>',
      'weight of the distillation loss, by which the model learns from the FP32 checkpoint; 0 trains without it',
      notNegative('--qat-distil'),
      qatDistil,
    )
    .option(
      '--qat-recompute',
      'compute the layers of the encoder again in the backward pass: the training needs less memory and more time',
    )
    .addHelpText(
      'after',
      examples(
        'dino8 compress assets/nano assets/shapes/val --images 50 --recipes dynamic,mixed -o compressed/',
        'dino8 compress assets/nano assets/shapes/val --calibration assets/shapes/calib --qat --qat-steps 240 -o compressed/',
      ),
    )
    .action(async (checkpoint, dataset, { json, qat, ...given }) => {
      const { named, calibration, others: options } = separateDataset(given);
      keepsOnInterruption(options.output);
      const {
        qatRecipe,
        qatEpochs,
        qatSteps,
        qatBatch,
        qatAccumulate,
        qatLearningRate,
        qatDistil,
        qatRecompute,
        ...rest
      } = options;
      const training = {
        recipe: qatRecipe,
        epochs: qatEpochs,
        steps: qatSteps,
        batch: qatBatch,
        accumulate: qatAccumulate,
        learningRate: qatLearningRate,
        distil: qatDistil,
        recompute: qatRecompute,
      };
      const results = await compress({
        ...rest,
        ...work(),
        checkpoint,
        dataset: named(dataset),
        calibration,
        command: reportedCommandLine(),
        qat: qat ? training : undefined,
      });
      if (json) return printJson(results);
      printResults(results, options.output);
    });

/** Prints the tables of the variants, and where the report is. */
export function printResults({ variants, report, outputFigures, allowedDrop }: CompressResult, output: string): void {
  print(costTable(variants));
  print('');
  print(accuracyTable(variants, outputFigures));
  const { answer, advice } = decide(variants, allowedDrop);
  print(`\n${answer}${advice === undefined ? '' : `\n${advice}`}`);
  print(`\nThe report is ${report}. The models and results.json are in ${join(output, '')}`);
}

function costTable(variants: readonly CompressedVariant[]): string {
  const [reference] = variants;
  if (!reference) return '';
  // The ratios are those of the answer and of the report: that of times is the median over rounds.
  const ratio = (gain: Gain | undefined) => `${(gain?.ratio ?? 1).toFixed(2)}x`;
  const rows = variants.map((variant) => [
    variant.name,
    `${megabytes(variant.fileBytes)} ${ratio(sizeGain(variant, reference))}`,
    `${megabytes(variant.peakMemoryBytes)} ${ratio(memoryGain(variant, reference))}`,
    `${milliseconds(variant.medianSeconds)} ${ratio(speedGain(variant, reference))}`,
  ]);
  return table(['', 'file', 'peak memory', 'median latency'], rows);
}

function accuracyTable(variants: readonly CompressedVariant[], outputFigures: CompressResult['outputFigures']): string {
  const rows = variants.map(({ name, figures, intervals, change, agreement }, index) => [
    name,
    points(figures.AP),
    pointsInterval(intervals.AP),
    points(figures.AP50),
    ...(index === 0 ? ['', ''] : [change?.AP ? signedPoints(change.AP.value) : '–', signedInterval(change?.AP)]),
    ...outputFigures.map(({ key }) => agreement?.figures[key]?.toFixed(3) ?? '–'),
    ...(index === 0 ? [] : [verdict(change?.AP)]),
  ]);
  const titles = outputFigures.map(({ title }) => title);
  return table(['', 'AP', '95 % interval', 'AP50', 'change of AP', '95 % interval', ...titles, ''], rows);
}
