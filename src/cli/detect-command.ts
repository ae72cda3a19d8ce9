import { basename } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { bundledModel } from '../data/bundled.ts';
import { DEFAULT_THRESHOLD, type Detection } from '../detect/detector.ts';
import { detect } from '../pipeline/detect-step.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { fraction, jsonOption, threadsOption } from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 detect` */
export const detectCommand = () =>
  new Command('detect')
    .description('Find the objects that phrases describe, in one image or many.')
    .argument('<images...>', 'files, folders, or patterns such as "photos/*.jpg"')
    .requiredOption('--phrases <list>', 'the phrases to look for, separated by commas or periods')
    .option(
      '--model <model>',
      'an ONNX file or folder that dino8 wrote, or a checkpoint (default: the bundled model, which knows only coloured shapes)',
    )
    .option(
      '--threshold <score>',
      'leave out boxes whose score is below this, from 0 to 1',
      fraction('--threshold'),
      DEFAULT_THRESHOLD,
    )
    .addOption(threadsOption())
    .option('--out <folder>', 'write the images to this folder, with the boxes drawn in')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 detect assets/shapes/val/000082.jpg --phrases "white star, orange ring" --out drawn/',
        'dino8 detect "assets/shapes/val/00001*.jpg" --phrases "red circle, blue square" --model assets/nano --json',
      ),
    )
    .action(async (images, { json, model, out, ...options }) => {
      const { onProgress } = json ? {} : work();
      const progress = { onProgress, signal: interruption() };
      const found = await detect({ ...options, images, model: model ?? bundledModel(), drawInto: out, ...progress });
      if (json) return printJson(found);
      const rows = found.flatMap(({ image, detections }) => detections.map((detection) => row(image, detection)));
      if (rows.length > 0) print(table(['image', 'phrase', 'score', 'x', 'y', 'width', 'height'], rows));
      else print(nothingFound(model));
    });

const nothingFound = (model: string | undefined): string =>
  model === undefined
    ? 'Nothing was found. The bundled model knows only coloured shapes, such as "red circle"; name a model of yours with --model.'
    : 'Nothing was found. Boxes with lower scores are shown with a lower --threshold.';

function row(image: string, { label, score, box }: Detection): string[] {
  return [basename(image), label, score.toFixed(3), ...box.map((value) => value.toFixed(1))];
}
