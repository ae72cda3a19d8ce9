import { Command, Option } from '@commander-js/extra-typings';
import { signed } from '../base/format.ts';
import { points, pointsInterval, signedInterval, verdict } from '../evaluate/points.ts';
import type { Sensitivity } from '../evaluate/sensitivity.ts';
import { SENSITIVITY_DEFAULTS, sensitivity } from '../pipeline/sensitivity-step.ts';
import { addDatasetOptions } from './dataset-options.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { judgedBy } from './judged-model.ts';
import { print, printJson } from './output.ts';
import { addPictureOptions, INPUTS_ARGUMENT } from './picture-options.ts';
import { work } from './progress-line.ts';
import {
  addCalibrationOptions,
  emaOption,
  jsonOption,
  overwriteOption,
  recipeForModelOption,
  seedOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** `--by` */
export const granularityOption = (description: string) =>
  new Option('--by <part>', description).choices(['layer', 'block'] as const).default(SENSITIVITY_DEFAULTS.by);

/** `dino8 sensitivity` */
export const sensitivityCommand = () =>
  addPictureOptions(
    addCalibrationOptions(
      addDatasetOptions(
        new Command('sensitivity')
          .description(
            'Quantize one part of a model at a time, and measure how far the outputs move and, for a detector, how much average precision (AP) is lost.',
          )
          .argument('<model>', 'the float model')
          .argument('<inputs>', INPUTS_ARGUMENT)
          .addOption(recipeForModelOption('the recipe whose layers are measured', SENSITIVITY_DEFAULTS.recipe))
          .option(
            '--images <count>',
            'judge by the first <count> images or other inputs',
            wholeNumber('--images'),
            SENSITIVITY_DEFAULTS.images,
          )
          .addOption(granularityOption('quantize single layers, or blocks of layers, at a time')),
      ),
    ).addOption(seedOption()),
  )
    .option(
      '-o, --output <file>',
      'write the result as JSON; finished parts are kept in <file>.cache and not measured again',
    )
    .option('--report <file>', 'write a table and a chart as one HTML file')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 sensitivity assets/nano assets/shapes/val --images 20 --calibration assets/shapes/calib -o sensitivity.json',
      ),
    )
    .action(async (model, dataset, { json, ...given }) => {
      keepsOnInterruption(given.output && `${given.output}.cache`);
      const result = await sensitivity({ ...judgedBy(given, dataset), model, ...work() });
      if (json) return printJson(result);
      print(sensitivityTable(result));
    });

function sensitivityTable({ float, floatInterval, parts, outputFigures }: Sensitivity): string {
  const isScored = float !== undefined;
  const scored = isScored ? ['AP', 'change of AP', '95 % interval'] : [];
  const part = isScored
    ? `part (float: ${points(float)} AP${floatInterval ? `, 95 % interval ${pointsInterval(floatInterval)}` : ''})`
    : 'part';
  return table(
    [part, ...scored, ...outputFigures.map(({ title }) => title), ...(isScored ? [''] : [])],
    parts.map(({ name, averagePrecision = -1, drop = 0, change, figures }) => [
      name,
      ...(isScored ? [points(averagePrecision), signed(-drop), signedInterval(change)] : []),
      ...outputFigures.map(({ key, perfect }) => (figures[key] ?? perfect).toFixed(4)),
      ...(isScored ? [verdict(change)] : []),
    ]),
  );
}
