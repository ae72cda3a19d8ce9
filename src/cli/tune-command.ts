import { Command } from '@commander-js/extra-typings';
import type { Tuned } from '../evaluate/tune.ts';
import { TUNE_DEFAULTS, tune } from '../pipeline/tune-step.ts';
import { examples } from './examples.ts';
import { milliseconds, points, signed } from './format.ts';
import { keepsOnInterruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { granularityOption } from './sensitivity-command.ts';
import {
  addCalibrationOptions,
  COCO_ARGUMENT,
  jsonOption,
  notNegative,
  recipeOption,
  seedOption,
  statisticsOf,
  threadsOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 tune` */
export const tuneCommand = () =>
  addCalibrationOptions(
    new Command('tune')
      .description(
        'Find the fastest mixture of precisions that loses no more accuracy than allowed, and write it as a recipe.',
      )
      .argument('<model>', 'the float model')
      .argument('<coco>', COCO_ARGUMENT)
      .requiredOption(
        '-o, --output <file>',
        'the recipe to write, as YAML; measurements are kept in <file>.cache and not made again',
      )
      .option(
        '--max-drop <points>',
        'the points of average precision (AP) that may be lost',
        notNegative('--max-drop'),
        TUNE_DEFAULTS.maxDrop,
      )
      .addOption(recipeOption<string>('the recipe to start from', TUNE_DEFAULTS.recipe))
      .option('--images <count>', 'judge by the first <count> images', wholeNumber('--images'), TUNE_DEFAULTS.images)
      .addOption(granularityOption('make single layers, or blocks of layers, float again')),
  )
    .addOption(seedOption())
    .option('--report <file>', 'write the Pareto front as a chart and a table in one HTML file')
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 tune assets/nano assets/shapes/val --images 20 --calibration assets/shapes/calib -o tuned.yaml --report pareto.html',
      ),
    )
    .action(async (model, dataset, { json, ranges, ...options }) => {
      keepsOnInterruption(`${options.output}.cache`);
      const statistics = statisticsOf({ statistics: options.statistics, ranges });
      const tuned = await tune({ ...options, model, dataset, statistics, onNotice: notice, ...work() });
      if (json) return printJson({ recipe: options.output, chosen: tuned.chosen, mixtures: tuned.mixtures });
      print(mixtureTable(tuned));
      print(`The recipe is ${options.output}: quantize with --recipe ${options.output}.`);
    });

function mixtureTable({ mixtures, chosen }: Tuned): string {
  return table(
    ['float parts', 'AP', 'change', 'median latency', ''],
    mixtures.map((point) => [
      `${point.float}`,
      points(point.averagePrecision),
      signed(-point.drop),
      milliseconds(point.seconds),
      point === chosen ? 'chosen' : '',
    ]),
  );
}
