import { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { sizeOf } from '../base/files.ts';
import { openCoco, takeImages } from '../data/coco.ts';
import { calibrationFeeds } from '../detect/calibration-feeds.ts';
import { type ModelPackage, readPackage, writePackage } from '../model/package.ts';
import { calibrate, type Ranges } from '../quant/calibrate.ts';
import { quantizeModel, type TreatmentCounts, valuesToObserve } from '../quant/quantize.ts';
import { bundledRecipes, DEFAULT_RECIPE, type Recipe, readRecipe } from '../quant/recipe.ts';
import { megabytes, print, printJson, wholeNumber, work } from './terminal.ts';

interface Options {
  recipe: string;
  calibration?: string;
  images: number;
  output: string;
  json?: true;
}

const DEFAULT_IMAGES = 64;

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('Make a model INT8 by a recipe.')
    .argument('<model>', 'an ONNX file that dino8 wrote, or a Hugging Face folder')
    .requiredOption(
      '-o, --output <path>',
      'what to write: one file if it ends in .onnx, else a folder as transformers.js reads it',
    )
    .option('--recipe <recipe>', `a bundled recipe (${bundledRecipes().join(', ')}) or a YAML file`, DEFAULT_RECIPE)
    .option('--calibration <coco>', "images in COCO's layout; needed if the recipe has static parts")
    .option('--images <count>', 'how many of them to use', wholeNumber('--images'), DEFAULT_IMAGES)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 quantize tiny.onnx --recipe dynamic -o tiny.int8.onnx\n  $ dino8 quantize tiny.onnx --recipe static --calibration coco/val2017 -o tiny.int8.onnx',
    )
    .action(async (model: string, options: Options) => {
      const recipe = await readRecipe(options.recipe);
      const source = await readPackage(model);
      const { counts } = await quantizePackage(source, recipe, options.output, options);
      const bytes = await sizeOf(options.output);
      if (options.json) return printJson({ output: options.output, bytes, recipe: recipe.name, layers: counts });
      print(
        `${options.output}: ${megabytes(bytes)}; ${counts.static} layers static, ${counts.dynamic} dynamic, ${counts.weights} stored as int8, ${counts.float} float`,
      );
    });
}

/** Calibrates if the recipe needs it, quantizes, and writes the model. */
export async function quantizePackage(
  source: ModelPackage,
  recipe: Recipe,
  output: string,
  options: { calibration?: string; images: number },
): Promise<{ counts: TreatmentCounts }> {
  const ranges = await findRanges(source, recipe, options);
  const { model, counts } = await quantizeModel(source.model, recipe, ranges);
  await writePackage({ ...source, model }, output);
  return { counts };
}

async function findRanges(
  source: ModelPackage,
  recipe: Recipe,
  options: { calibration?: string; images: number },
): Promise<Ranges> {
  const values = valuesToObserve(source.model, recipe);
  if (values.length === 0) return new Map();
  if (options.calibration === undefined)
    throw new UsageError(`The recipe ${recipe.name} has static parts; name images to calibrate on with --calibration.`);
  const dataset = takeImages(await openCoco(options.calibration), options.images);
  return calibrate(source.model, values, calibrationFeeds(source, dataset), {
    ...work(),
    total: dataset.images.length,
  });
}
