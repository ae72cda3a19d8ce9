import { basename } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { InputError } from '../base/errors.ts';
import { bundledModel } from '../data/bundled.ts';
import type { Detection } from '../detect/base-detector.ts';
import { type DetectedImage, detect } from '../pipeline/detect-step.ts';
import { addBoxOptions, separateBoxes } from './box-options.ts';
import { deviceOption } from './device-option.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { work } from './progress-line.ts';
import { promptOption } from './prompt-options.ts';
import {
  emaOption,
  jsonOption,
  overwriteOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { withStandardInput } from './standard-input.ts';
import { table } from './table.ts';

/** `dino8 detect` */
export const detectCommand = () =>
  addBoxOptions(
    addPhraseOptions(
      new Command('detect')
        .description('Find the objects that phrases describe, in one image or many.')
        .argument(
          '<images...>',
          'pictures and videos: files, folders of pictures, patterns such as "photos/**/*.jpg", or - for one picture from the standard input. Those of a folder or pattern are taken in natural order: 2.jpg before 10.jpg. Videos need the program ffmpeg',
        ),
    ),
  )
    .option(
      '--model <model>',
      'an ONNX file or folder that dino8 wrote, or a checkpoint (default: the bundled model, which knows only coloured shapes)',
    )
    .addOption(promptOption())
    .addOption(deviceOption())
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(maxPixelsOption())
    .addOption(overwriteOption())
    .option('--recursive', 'take the pictures in the subfolders of folders too')
    .option(
      '--every <count>',
      'of videos, look at every so manieth frame, from the first (default: every frame)',
      wholeNumber('--every'),
    )
    .option(
      '--out <path>',
      'write copies with the boxes drawn in to this folder, in the tree of the inputs and under their names; or, of one picture or video, to this file, such as drawn.png or drawn.mp4',
    )
    .option('--skip-unreadable', 'exit with 0 even if some of the pictures cannot be read; they are named in any case')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 detect assets/shapes/val/000082.jpg --phrases "white star, orange ring" --out drawn/',
        'dino8 detect assets/shapes/val/000082.jpg --phrase "white star" --phrase "orange ring" --nms 0.5 --max-boxes 10',
        'dino8 detect street.mp4 --every 30 --phrases "person, bicycle" --model detector.onnx --out found.mp4',
        'curl https://example.org/photo.jpg | dino8 detect - --phrases "person" --model detector.onnx --json',
        'dino8 detect "assets/shapes/val/00001*.jpg" --phrases "red circle, blue square" --model assets/nano --json',
      ),
    )
    .action(async (images, { json, model, out, skipUnreadable, phrases, phrase, phrasesFile, ...given }) => {
      const asked = await phrasesOf({ phrases, phrase, phrasesFile });
      const { boxes, others: options } = separateBoxes(given);
      const { onProgress } = json ? {} : work();
      const progress = { onProgress, signal: interruption() };
      const found = await detect({
        ...options,
        ...boxes,
        ...progress,
        images: await withStandardInput(images),
        phrases: asked,
        model: model ?? bundledModel(),
        drawInto: out,
        onNotice: notice,
      });
      if (json) printJson(found);
      else printBoxes(found, model);
      reportProblems(found, skipUnreadable ?? false);
    });

function printBoxes(found: readonly DetectedImage[], model: string | undefined): void {
  const hasFrames = found.some(({ frame }) => frame !== undefined);
  const rows = found.flatMap((each) => each.detections.map((detection) => row(each, detection, hasFrames)));
  const frameColumns = hasFrames ? ['frame', 'seconds'] : [];
  if (rows.length > 0) print(table(['image', ...frameColumns, 'phrase', 'score', 'x', 'y', 'width', 'height'], rows));
  else print(nothingFound(model));
}

/** Names the pictures that could not be read. They make the command fail at its end, unless they may be left out. */
function reportProblems(found: readonly DetectedImage[], isAccepted: boolean): void {
  const problems = found.flatMap(({ problem }) => problem ?? []);
  for (const problem of problems) notice(problem);
  const total = new Set(found.map(({ image }) => image)).size;
  if (problems.length > 0 && !isAccepted)
    throw new InputError(
      `${problems.length} of ${total} pictures and videos could not be read; the results are those of the others, and --skip-unreadable accepts that.`,
    );
}

const nothingFound = (model: string | undefined): string =>
  model === undefined
    ? 'Nothing was found. The bundled model knows only coloured shapes, such as "red circle"; name a model of yours with --model.'
    : 'Nothing was found. Boxes with lower scores are shown with a lower --threshold.';

function row({ image, frame, seconds }: DetectedImage, { label, score, box }: Detection, hasFrames: boolean): string[] {
  const frameCells = hasFrames ? [`${frame ?? ''}`, seconds?.toFixed(3) ?? ''] : [];
  return [basename(image), ...frameCells, label, score.toFixed(3), ...box.map((value) => value.toFixed(1))];
}
