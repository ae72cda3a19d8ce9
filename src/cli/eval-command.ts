import { Command } from '@commander-js/extra-typings';
import { evaluate } from '../pipeline/evaluate-step.ts';
import { deviceOption } from './device-option.ts';
import { examples } from './examples.ts';
import { points } from './format.ts';
import { keepsOnInterruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { COCO_ARGUMENT, jsonOption, threadsOption, wholeNumber } from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 eval` */
export const evalCommand = () =>
  new Command('eval')
    .description("Score a model by COCO's protocol: the 12 figures, and the average precision (AP) of each category.")
    .argument('<model>', 'an ONNX file or folder that dino8 wrote, or a checkpoint')
    .argument('<coco>', COCO_ARGUMENT)
    .option('--images <count>', 'score only the first <count> images (default: all)', wholeNumber('--images'))
    .addOption(deviceOption())
    .addOption(threadsOption())
    .option('-o, --output <file>', 'write the result as JSON; an interrupted evaluation continues where it was')
    .addOption(jsonOption())
    .addHelpText('after', examples('dino8 eval assets/nano assets/shapes/val --images 100 -o scores.json'))
    .action(async (model, dataset, { json, ...options }) => {
      keepsOnInterruption(options.output && `${options.output}.partial`);
      const result = await evaluate({ ...options, model, dataset, onNotice: notice, ...work() });
      if (json) return printJson(result);
      const figures = Object.entries(result.figures).map(([name, value]) => [name, points(value)]);
      print(table(['figure', 'points'], figures));
      print('');
      print(
        table(
          ['category', 'AP'],
          result.categories.map(({ name, AP }) => [name, points(AP)]),
        ),
      );
    });
