import { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { everyImage } from '../data/calibration-plan.ts';
import { openCoco, takeImages } from '../data/coco.ts';
import { type Comparison, compareModels } from '../evaluate/compare.ts';
import { readPackage } from '../models/package/package.ts';
import { renderComparison } from '../report/comparison-page.ts';
import { print, printJson, table, wholeNumber, work } from './terminal.ts';

interface Options {
  images: number;
  floor: number;
  report?: string;
  json?: true;
}

const DEFAULT_IMAGES = 32;
/** At 20 dB, noise has a tenth of the amplitude of the signal. */
const DEFAULT_FLOOR = 20;
const SHOWN = 15;

export function compareCommand(): Command {
  return new Command('compare')
    .description('Find where a quantized model departs from the float one: by layer, by box, by image.')
    .argument('<model>', 'the float model')
    .argument('<quantized>', 'what dino8 quantize made of it')
    .argument('<coco>', "a folder of images in COCO's layout; its categories are the phrases")
    .option('--images <count>', 'how many of them', wholeNumber('--images'), DEFAULT_IMAGES)
    .option('--floor <decibels>', 'the signal-to-noise ratio below which a layer is named', Number, DEFAULT_FLOOR)
    .option('--report <file>', 'write tables and a chart as one HTML file')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ dino8 compare tiny.onnx tiny.int8.onnx coco/val2017 --images 32')
    .action(async (path: string, quantized: string, folder: string, options: Options) => {
      if (!Number.isFinite(options.floor)) throw new UsageError('--floor must be a number of decibels.');
      const dataset = takeImages(await openCoco(folder), options.images);
      const source = await readPackage(path);
      const { model } = await readPackage(quantized);
      const comparison = await compareModels(source, model, everyImage(dataset), work());
      if (options.report !== undefined) await writeAtomic(options.report, renderComparison(quantized, comparison));
      if (options.json) return printJson(comparison);
      describe(comparison, options.floor);
    });
}

function describe({ layers, images, queries, overlap, scoreError }: Comparison, floor: number): void {
  const worst = layers.toSorted((a, b) => a.decibels - b.decibels).slice(0, SHOWN);
  print(
    table(
      ['layer', 'signal to noise'],
      worst.map(({ path, decibels }) => [path, `${decibels.toFixed(1)} dB`]),
    ),
  );
  const first = layers.find(({ decibels }) => decibels < floor);
  print(first ? `The first layer below ${floor} dB is ${first.path}.` : `No layer is below ${floor} dB.`);
  print(
    table(
      ['image', 'queries', 'overlap', 'score error'],
      images
        .slice(0, SHOWN)
        .map((image) => [image.path, `${image.queries}`, image.overlap.toFixed(4), image.scoreError.toFixed(4)]),
    ),
  );
  print(
    `${queries} queries that found something: their boxes overlap by ${overlap.toFixed(4)}, their scores differ by ${scoreError.toFixed(4)}.`,
  );
}
