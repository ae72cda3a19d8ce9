import { basename } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { bundledModel } from '../data/bundled.ts';
import type { Detection } from '../detect/detector.ts';
import { detect } from '../pipeline/detect-step.ts';
import { addBoxOptions, separateBoxes } from './box-options.ts';
import { deviceOption } from './device-option.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, requiredPhrasesOf } from './phrase-options.ts';
import { work } from './progress-line.ts';
import { jsonOption, threadsOption } from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 detect` */
export const detectCommand = () =>
  addBoxOptions(
    addPhraseOptions(
      new Command('detect')
        .description('Find the objects that phrases describe, in one image or many.')
        .argument('<images...>', 'files, folders, or patterns such as "photos/*.jpg"'),
    ),
  )
    .option(
      '--model <model>',
      'an ONNX file or folder that dino8 wrote, or a checkpoint (default: the bundled model, which knows only coloured shapes)',
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .option('--out <folder>', 'write the images to this folder, with the boxes drawn in')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 detect assets/shapes/val/000082.jpg --phrases "white star, orange ring" --out drawn/',
        'dino8 detect assets/shapes/val/000082.jpg --phrase "white star" --phrase "orange ring" --nms 0.5 --max-boxes 10',
        'dino8 detect "assets/shapes/val/00001*.jpg" --phrases "red circle, blue square" --model assets/nano --json',
      ),
    )
    .action(async (images, { json, model, out, phrases, phrase, phrasesFile, ...given }) => {
      const asked = await requiredPhrasesOf({ phrases, phrase, phrasesFile });
      const { boxes, others: options } = separateBoxes(given);
      const { onProgress } = json ? {} : work();
      const progress = { onProgress, signal: interruption() };
      const found = await detect({
        ...options,
        ...boxes,
        ...progress,
        images,
        phrases: asked,
        model: model ?? bundledModel(),
        drawInto: out,
        onNotice: notice,
      });
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
