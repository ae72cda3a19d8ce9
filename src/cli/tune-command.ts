import { Command } from '@commander-js/extra-typings';
import { milliseconds, signed } from '../base/format.ts';
import { points, pointsInterval, signedInterval, verdict } from '../evaluate/points.ts';
import type { Tuned } from '../evaluate/tune.ts';
import { TUNE_DEFAULTS, tune } from '../pipeline/tune-step.ts';
import { addDatasetOptions } from './dataset-options.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { judgedBy } from './judged-model.ts';
import { print, printJson } from './output.ts';
import { addPictureOptions, INPUTS_ARGUMENT } from './picture-options.ts';
import { work } from './progress-line.ts';
import { granularityOption } from './sensitivity-command.ts';
import {
  addCalibrationOptions,
  emaOption,
  jsonOption,
  notNegative,
  overwriteOption,
  recipeForModelOption,
  seedOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 tune` */
export const tuneCommand = () =>
  addPictureOptions(
    addCalibrationOptions(
      addDatasetOptions(
        new Command('tune')
          .description(
            'Find the fastest mixture of precisions that loses no more accuracy than allowed, and write it as a recipe. A detector is judged by average precision (AP), any other model by the change of its outputs.',
          )
          .argument('<model>', 'the float model')
          .argument('<inputs>', INPUTS_ARGUMENT)
          .requiredOption(
            '-o, --output <file>',
            'the recipe to write, as YAML; measurements are kept in <file>.cache and not made again',
          )
          .option(
            '--max-drop <points>',
            `the points of AP that may be lost, or the change of the outputs in percent (default: ${TUNE_DEFAULTS.maxDrop} points; ${TUNE_DEFAULTS.maxOutputChange} percent for a model that is no detector of dino8)`,
            notNegative('--max-drop'),
          )
          .addOption(recipeForModelOption('the recipe to start from', TUNE_DEFAULTS.recipe))
          .option(
            '--images <count>',
            'judge by the first <count> images or other inputs',
            wholeNumber('--images'),
            TUNE_DEFAULTS.images,
          )
          .addOption(granularityOption('make single layers, or blocks of layers, float again')),
      ),
    ).addOption(seedOption()),
  )
    .option('--report <file>', 'write the Pareto front as a chart and a table in one HTML file')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 tune assets/nano assets/shapes/val --images 20 --calibration assets/shapes/calib -o tuned.yaml --report pareto.html',
      ),
    )
    .action(async (model, dataset, { json, ...given }) => {
      const { output } = given;
      keepsOnInterruption(`${output}.cache`);
      const tuned = await tune({ ...judgedBy(given, dataset), model, ...work() });
      if (json)
        return printJson({ origin: tuned.origin, recipe: output, chosen: tuned.chosen, mixtures: tuned.mixtures });
      print(mixtureTable(tuned));
      print(`The recipe is ${output}: quantize with --recipe ${output}.`);
    });

function mixtureTable({ mixtures, chosen }: Tuned): string {
  const isScored = mixtures.every(({ averagePrecision }) => averagePrecision !== undefined);
  const scored = ['AP', '95 % interval', 'change of AP', '95 % interval'];
  return table(
    [
      'float parts',
      ...(isScored ? scored : ['change of the outputs']),
      'median latency',
      ...(isScored ? [''] : []),
      '',
    ],
    mixtures.map((point) => [
      `${point.float}`,
      ...(isScored
        ? [
            points(point.averagePrecision ?? 0),
            pointsInterval(point.interval),
            signed(-point.drop),
            signedInterval(point.change),
          ]
        : [`${point.drop.toFixed(3)} %`]),
      milliseconds(point.seconds),
      ...(isScored ? [verdict(point.change)] : []),
      point === chosen ? 'chosen' : '',
    ]),
  );
}
