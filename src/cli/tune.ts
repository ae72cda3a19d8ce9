import { Command } from 'commander';
import { stringify } from 'yaml';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import { openCoco, takeImages } from '../data/coco.ts';
import { type Granularity, measureSensitivity } from '../evaluate/sensitivity.ts';
import { type Tuned, tune } from '../evaluate/tune.ts';
import { readPackage } from '../models/package/package.ts';
import { observeFor } from '../pipeline/apply-recipe.ts';
import { type Recipe, readRecipe } from '../quant/recipe.ts';
import { renderParetoFront } from '../report/pareto-front-page.ts';
import { addCalibrationOptions, type CalibrationSource, findCalibration } from './calibration-source.ts';
import { granularityOption } from './sensitivity.ts';
import { milliseconds, points, print, printJson, signed, table, wholeNumber, work } from './terminal.ts';

interface Options extends CalibrationSource {
  recipe: string;
  images: number;
  by: Granularity;
  maxDrop: number;
  output: string;
  report?: string;
  json?: true;
}

const DEFAULT_IMAGES = 200;
const DEFAULT_DROP = 0.5;

export function tuneCommand(): Command {
  const command = new Command('tune')
    .description('Find the fastest mixture of precisions that loses no more than allowed, and write it as a recipe.')
    .argument('<model>', 'the float model')
    .argument('<coco>', "a folder of images in COCO's layout; its categories are the phrases")
    .requiredOption('-o, --output <file>', 'the recipe to write; what is measured is kept beside it and found again')
    .option('--max-drop <points>', 'points of AP that may be lost', Number, DEFAULT_DROP)
    .option('--recipe <recipe>', 'the recipe to start from', 'full')
    .option('--images <count>', 'how many images mixtures are judged on', wholeNumber('--images'), DEFAULT_IMAGES)
    .addOption(granularityOption());
  return addCalibrationOptions(command)
    .option('--report <file>', 'write the front as a chart and a table in one HTML file')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ dino8 tune tiny.onnx coco/val2017 --statistics statistics.json --max-drop 0.5 -o tuned.yaml --report front.html',
    )
    .action(async (path: string, folder: string, options: Options) => {
      if (!(options.maxDrop >= 0)) throw new UsageError('--max-drop must be a number of AP points of at least 0.');
      const recipe = await readRecipe(options.recipe);
      const dataset = takeImages(await openCoco(folder), options.images);
      const source = await readPackage(path);
      const statistics = await observeFor(source, recipe, { ...work(), ...(await findCalibration(source, options)) });
      const shared = { ...work(), statistics, granularity: options.by };
      const cache = `${options.output}.cache`;
      const sensitivity = await measureSensitivity(source, recipe, dataset, { ...shared, cache });
      const tuned = await tune(source, recipe, dataset, sensitivity, { ...shared, mostDrop: options.maxDrop });
      await writeAtomic(options.output, describeRecipe(tuned, options.maxDrop));
      if (options.report !== undefined) await writeAtomic(options.report, renderParetoFront(path, tuned));
      if (options.json) return printJson({ recipe: options.output, chosen: tuned.chosen, front: tuned.front });
      print(frontTable(tuned));
      print(`The recipe is ${options.output}: quantize with --recipe ${options.output}.`);
    });
}

function describeRecipe({ recipe, chosen }: Tuned, mostDrop: number): string {
  const { rules, techniques, text }: Recipe = recipe;
  const description = `Tuned from ${recipe.name} for at most ${mostDrop} points of AP: ${chosen.float} parts float, ${chosen.drop.toFixed(2)} points lost.`;
  return stringify({
    description,
    rules: rules.map((rule) =>
      Object.fromEntries(
        Object.entries(rule)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [key, key === 'observer' ? shortObserver(rule) : value]),
      ),
    ),
    ...(techniques.length > 0 && { techniques }),
    ...(text && { text }),
  });
}

/** An observer as recipes write it. */
function shortObserver({ observer }: Recipe['rules'][number]) {
  if (observer?.kind === 'percentile') return { percentile: observer.percentile };
  return observer?.kind === 'top-k' ? { 'top-k': observer.count } : observer?.kind;
}

function frontTable({ front, chosen }: Tuned): string {
  return table(
    ['float parts', 'AP', 'change', 'median latency', ''],
    front.map((point) => [
      `${point.float}`,
      points(point.averagePrecision),
      signed(-point.drop),
      milliseconds(point.seconds),
      point === chosen ? 'chosen' : '',
    ]),
  );
}
