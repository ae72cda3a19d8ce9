import { basename, extname, join } from 'node:path';
import { Command } from 'commander';
import { makeDirectory, writeAtomic } from '../base/files.ts';
import { bundledModel } from '../data/bundled.ts';
import { findImages } from '../data/find-images.ts';
import { readImage } from '../data/image.ts';
import { annotateImage } from '../detect/annotate.ts';
import { DEFAULT_THRESHOLD, type Detection, Detector } from '../detect/detector.ts';
import { readPackage } from '../models/package/package.ts';
import { interruption } from './interruption.ts';
import { fraction, print, printJson, table, wholeNumber, work } from './terminal.ts';

interface Options {
  phrases: string;
  model?: string;
  threshold: number;
  threads?: number;
  out?: string;
  json?: true;
}

interface Found {
  readonly image: string;
  readonly detections: readonly Detection[];
}

export function detectCommand(): Command {
  return new Command('detect')
    .description('Find what phrases describe, in one image or many.')
    .argument('<images...>', 'files, folders, or patterns such as "photos/*.jpg"')
    .requiredOption('--phrases <list>', 'what to find, separated by commas or periods')
    .option(
      '--model <model>',
      'an ONNX file that dino8 wrote, or a Hugging Face folder (default: the model of the demo)',
    )
    .option('--threshold <score>', 'leave out boxes with a lower score', fraction('--threshold'), DEFAULT_THRESHOLD)
    .option('--threads <count>', 'threads to run with (default: one per core)', wholeNumber('--threads'))
    .option('--out <folder>', 'write the images there with the boxes drawn in')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 detect photo.jpg --phrases "red circle, blue square" --out drawn/\n  $ dino8 detect photos/ --phrases "forklift, person without helmet" --model tiny.int8.onnx --json',
    )
    .action(async (names: string[], options: Options) => {
      const images = await findImages(names);
      if (options.out !== undefined) await makeDirectory(options.out);
      await using detector = await Detector.create(await readPackage(options.model ?? bundledModel()), {
        threads: options.threads,
      });
      const found = await detectAll(detector, images, options);
      if (options.json) return printJson(found);
      const rows = found.flatMap(({ image, detections }) => detections.map((detection) => row(image, detection)));
      print(
        rows.length > 0 ? table(['image', 'phrase', 'score', 'x', 'y', 'width', 'height'], rows) : 'Nothing was found.',
      );
    });
}

async function detectAll(detector: Detector, images: readonly string[], options: Options): Promise<Found[]> {
  const prompt = await detector.encodePrompt(options.phrases);
  const { onProgress } = images.length > 1 && !options.json ? work() : {};
  const found: Found[] = [];
  for (const [done, path] of images.entries()) {
    interruption().throwIfAborted();
    onProgress?.({ label: 'Detecting', done, total: images.length });
    const image = await readImage(path);
    const detections = await detector.detect(image, prompt, options.threshold);
    if (options.out !== undefined) {
      const name = `${basename(path, extname(path))}.jpg`;
      await writeAtomic(join(options.out, name), [await annotateImage(image, detections)]);
    }
    found.push({ image: path, detections });
  }
  onProgress?.({ label: 'Detecting', done: images.length, total: images.length });
  return found;
}

function row(image: string, { label, score, box }: Detection): string[] {
  return [basename(image), label, score.toFixed(3), ...box.map((value) => value.toFixed(1))];
}
