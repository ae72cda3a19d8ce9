import { Command, Option } from 'commander';
import { writeAtomic } from '../base/files.ts';
import { openCoco, takeImages } from '../data/coco.ts';
import { type Granularity, measureSensitivity, type Sensitivity } from '../evaluate/sensitivity.ts';
import { readPackage } from '../models/package/package.ts';
import { observeFor } from '../pipeline/apply-recipe.ts';
import { readRecipe } from '../quant/recipe.ts';
import { renderSensitivity } from '../report/sensitivity-page.ts';
import { addCalibrationOptions, type CalibrationSource, findCalibration } from './calibration-source.ts';
import { points, print, printJson, signed, table, wholeNumber, work } from './terminal.ts';

interface Options extends CalibrationSource {
  recipe: string;
  images: number;
  by: Granularity;
  output?: string;
  report?: string;
  json?: true;
}

const DEFAULT_IMAGES = 100;

export const granularityOption = (): Option =>
  new Option('--by <part>', 'what is quantized at a time').choices(['layer', 'block']).default('block');

export function sensitivityCommand(): Command {
  const command = new Command('sensitivity')
    .description('What each part loses in 8 bits: one at a time is quantized, and judged by AP and by matched boxes.')
    .argument('<model>', 'the float model')
    .argument('<coco>', "a folder of images in COCO's layout; its categories are the phrases")
    .option('--recipe <recipe>', 'how parts are quantized', 'full')
    .option('--images <count>', 'how many images parts are judged on', wholeNumber('--images'), DEFAULT_IMAGES)
    .addOption(granularityOption());
  return addCalibrationOptions(command)
    .option('-o, --output <file>', 'write the result as JSON there; what is measured is kept beside it and found again')
    .option('--report <file>', 'write a table and a chart as one HTML file')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ dino8 sensitivity tiny.onnx coco/val2017 --statistics statistics.json -o sensitivity.json --report sensitivity.html',
    )
    .action(async (path: string, folder: string, options: Options) => {
      const recipe = await readRecipe(options.recipe);
      const dataset = takeImages(await openCoco(folder), options.images);
      const source = await readPackage(path);
      const statistics = await observeFor(source, recipe, { ...work(), ...(await findCalibration(source, options)) });
      const result = await measureSensitivity(source, recipe, dataset, {
        ...work(),
        statistics,
        granularity: options.by,
        cache: options.output && `${options.output}.cache`,
      });
      if (options.output !== undefined) await writeAtomic(options.output, `${JSON.stringify(result, undefined, 2)}\n`);
      if (options.report !== undefined) await writeAtomic(options.report, renderSensitivity(path, result));
      if (options.json) return printJson(result);
      print(sensitivityTable(result));
    });
}

export function sensitivityTable({ float, parts }: Sensitivity): string {
  return table(
    [`part (float: ${points(float)} AP)`, 'AP', 'change', 'overlap', 'score error'],
    parts.map(({ name, averagePrecision, drop, overlap, scoreError }) => [
      name,
      points(averagePrecision),
      signed(-drop),
      overlap.toFixed(4),
      scoreError.toFixed(4),
    ]),
  );
}
