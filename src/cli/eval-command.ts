import { Command } from '@commander-js/extra-typings';
import { evaluate } from '../pipeline/evaluate-step.ts';
import { addDatasetOptions, DATASET_ARGUMENT, separateDataset } from './dataset-options.ts';
import { deviceOption } from './device-option.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { printJson } from './output.ts';
import { work } from './progress-line.ts';
import { printScore } from './score-table.ts';
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

/** `dino8 eval` */
export const evalCommand = () =>
  addDatasetOptions(
    new Command('eval')
      .description(
        "Score a model by COCO's protocol: the 12 figures, and the average precision (AP) of each category, with 95 % confidence intervals.",
      )
      .argument('<model>', 'an ONNX file or folder that dino8 wrote, or a checkpoint')
      .argument('<dataset>', DATASET_ARGUMENT)
      .option('--images <count>', 'score only the first <count> images (default: all)', wholeNumber('--images'))
      .addOption(shardOption('needs --save-detections, and dino8 score --merge scores the files of all parts as one')),
  )
    .addOption(deviceOption())
    .option(
      '--save-detections <file>',
      "write every box as JSON in COCO's results format, which dino8 score and other tools read",
    )
    .option(
      '--against <detections>',
      'compute the differences from another model, whose boxes in the same images are in this file of --save-detections',
    )
    .addOption(seedOption())
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .option('-o, --output <file>', 'write the result as JSON; an interrupted evaluation continues where it was')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 eval assets/nano assets/shapes/val --images 100 -o scores.json',
        'dino8 eval assets/nano assets/shapes/val --images 100 --save-detections fp32.json',
        'dino8 eval int8.onnx assets/shapes/val --images 100 --against fp32.json',
        'dino8 eval assets/nano assets/shapes/annotations/instances_val.json --images 100',
        'dino8 eval assets/nano assets/shapes --split val --images 100',
        'dino8 eval assets/nano assets/shapes/val --images 100 --shard 1/2 --save-detections part1.json',
      ),
    )
    .action(async (model, dataset, { json, ...given }) => {
      const { named, others: options } = separateDataset(given);
      const kept = options.output ?? options.saveDetections;
      keepsOnInterruption(kept && `${kept}.partial`);
      const result = await evaluate({ ...options, model, dataset: named(dataset), ...work() });
      if (json) return printJson(result);
      printScore(result);
    });
