import { Command } from '@commander-js/extra-typings';
import { score } from '../pipeline/score-step.ts';
import { addLabelOptions } from './dataset-options.ts';
import {
  ANNOTATIONS_ARGUMENT,
  allDetections,
  DETECTIONS_ARGUMENT,
  mergeOption,
  withLabels,
} from './detections-arguments.ts';
import { examples } from './examples.ts';
import { printJson } from './output.ts';
import { work } from './progress-line.ts';
import { printScore } from './score-table.ts';
import { jsonOption, overwriteOption, seedOption, wholeNumber } from './shared-options.ts';

/** `dino8 score` */
export const scoreCommand = () =>
  addLabelOptions(
    new Command('score')
      .description(
        "Score the detections of any detector as pycocotools does: COCO's 12 figures and the average precision (AP) of each category, with 95 % confidence intervals. With --against, the differences between two detectors on the same images.",
      )
      .argument('<detections>', DETECTIONS_ARGUMENT)
      .argument('<annotations>', ANNOTATIONS_ARGUMENT)
      .addOption(mergeOption())
      .option(
        '--against <detections>',
        'another file of detections in the same images, to compute the differences from',
      )
      .option('--images <count>', 'score only the first <count> images (default: all)', wholeNumber('--images')),
  )
    .addOption(seedOption())
    .option('-o, --output <file>', 'write the result as JSON')
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 eval assets/nano assets/shapes/val --images 50 --save-detections fp32.json',
        'dino8 score fp32.json assets/shapes/annotations/instances_val.json --images 50',
        'dino8 score int8.json assets/shapes/annotations/instances_val.json --against fp32.json',
        'dino8 score part1.json assets/shapes/annotations/instances_val.json --merge part2.json',
      ),
    )
    .action(async (first, annotations, { json, merge, ...given }) => {
      const detections = allDetections(first, merge);
      const result = await score({ ...withLabels(given, annotations), detections, ...work() });
      if (json) return printJson(result);
      printScore(result);
    });
