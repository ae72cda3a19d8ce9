import { Command } from 'commander';
import { InputError, UsageError } from '../base/errors.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { openCoco } from '../data/coco.ts';
import { UnreadableImage } from '../detect/calibration-feeds.ts';
import { readPackage } from '../models/package/package.ts';
import { calibrateDataset, removeKept } from '../pipeline/calibrate-dataset.ts';
import { observableValues } from '../quant/observable-values.ts';
import {
  type Calibration,
  mergeCalibrations,
  readStatistics,
  writeStatistics,
} from '../quant/observe/statistics-file.ts';
import { type TextDependence, textDependence } from '../quant/observe/text-dependence.ts';
import { valuesToObserve } from '../quant/plan.ts';
import { readRecipe } from '../quant/recipe.ts';
import { printNotice } from './calibration-source.ts';
import { print, printJson, table, wholeNumber, work } from './terminal.ts';

interface Options {
  images?: number;
  seed: number;
  output: string;
  recipe?: string;
  everything?: true;
  shard?: { index: number; count: number };
  merge?: true;
  skipUnreadable?: true;
  threads?: number;
  json?: true;
}

const DEFAULT_IMAGES = 500;

export function calibrateCommand(): Command {
  return new Command('calibrate')
    .description('Observe a model on images and prompts: the statistics from which ranges of static parts are made.')
    .argument('<inputs...>', "a model and a folder of images in COCO's layout; with --merge, the parts to join")
    .requiredOption('-o, --output <file>', 'what to write; an interrupted run goes on where it was')
    .option(
      '--images <count>',
      `how many images, chosen at random (default: ${DEFAULT_IMAGES}, or all if there are fewer)`,
      wholeNumber('--images'),
    )
    .option('--seed <number>', 'what the choice of images and prompts follows from', wholeNumber('--seed', 0), 0)
    .option('--recipe <recipe>', 'observe only what this recipe needs (default: what all but `full` may need)')
    .option('--everything', 'observe what any recipe may need, sums and heads of attention included')
    .option('--shard <i/n>', 'do part i of n, on this machine', parseShard)
    .option('--merge', 'join the parts of one calibration')
    .option('--skip-unreadable', 'leave out images that cannot be read, and name them')
    .option('--threads <count>', 'threads to run with (default: one per core)', wholeNumber('--threads'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 calibrate tiny.onnx coco/val2017 --images 500 --seed 0 -o statistics.json\n  $ dino8 calibrate tiny.onnx coco/val2017 --shard 1/2 -o part1.json\n  $ dino8 calibrate --merge part1.json part2.json -o statistics.json',
    )
    .action(async (inputs: string[], options: Options) => {
      const calibration = options.merge ? await merge(inputs) : await observe(inputs, options);
      await writeStatistics(calibration, options.output);
      await removeKept(partialOf(options.output));
      report(calibration, options);
    });
}

const partialOf = (output: string) => `${output}.partial`;

function parseShard(text: string): { index: number; count: number } {
  const [, index = 0, count = 0] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).map(Number);
  if (index < 1 || index > count) throw new UsageError(`--shard must be like 1/4, part 1 of 4, not "${text}".`);
  return { index, count };
}

async function merge(paths: readonly string[]): Promise<Calibration> {
  const parts = [];
  for (const path of paths) parts.push({ ...(await readStatistics(path, { onNotice: printNotice })), path });
  return mergeCalibrations(parts);
}

async function observe([model, folder, ...rest]: readonly string[], options: Options): Promise<Calibration> {
  if (model === undefined || folder === undefined || rest.length > 0)
    throw new UsageError('dino8 calibrate takes a model and a folder of images; see --help.');
  const dataset = await openCoco(folder);
  const plan = planCalibration(
    dataset,
    options.images ?? Math.min(DEFAULT_IMAGES, dataset.images.length),
    options.seed,
  );
  const source = await readPackage(model);
  const values =
    options.recipe === undefined
      ? observableValues(source.model, options.everything)
      : valuesToObserve(source.model, await readRecipe(options.recipe));
  return calibrateDataset(source, values, plan, {
    ...work(),
    shard: options.shard,
    partial: partialOf(options.output),
    skipUnreadable: options.skipUnreadable,
    threads: options.threads,
  }).catch((error: unknown) => {
    if (!(error instanceof UnreadableImage)) throw error;
    throw new InputError(`${error.message} Leave such images out with --skip-unreadable.`, { cause: error });
  });
}

/** Values of the text move with it, others hardly. */
const SHOWN = 12;

function report(calibration: Calibration, { output, json }: Options): void {
  const { statistics, done, skipped } = calibration;
  const dependence = [...statistics]
    .map(([value, statistic]) => ({ value, ...textDependence(statistic) }))
    .toSorted((a, b) => b.factor - a.factor);
  if (json) {
    printJson({ output, images: done, skipped, values: statistics.size, textDependence: dependence });
    return;
  }
  print(`${output}: ${statistics.size} values on ${done - skipped.length} images.`);
  if (skipped.length > 0) print(`${skipped.length} could not be read and were left out: ${skipped.join(', ')}.`);
  print(dependenceTable(dependence.slice(0, SHOWN)));
}

function dependenceTable(rows: readonly (TextDependence & { value: string })[]): string {
  const lengths = [...new Set(rows.flatMap(({ widths }) => widths.map(({ tokens }) => tokens)))].toSorted(
    (a, b) => a - b,
  );
  return table(
    [
      'range moves with the prompt',
      ...lengths.map((tokens) => (Number.isFinite(tokens) ? `≤ ${tokens}` : 'more')),
      'factor',
    ],
    rows.map(({ value, factor, widths }) => [
      value.length > 60 ? `…${value.slice(-59)}` : value,
      ...lengths.map((tokens) => widths.find((entry) => entry.tokens === tokens)?.width.toPrecision(3) ?? '–'),
      factor.toFixed(2),
    ]),
  );
}
