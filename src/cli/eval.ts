import { Command } from 'commander';
import { writeAtomic } from '../base/files.ts';
import { openCoco, takeImages } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { openEvaluationJournal } from '../evaluate/evaluation-journal.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import { readPackage } from '../models/package/package.ts';
import { points, print, printJson, table, wholeNumber, work } from './terminal.ts';

interface Options {
  images?: number;
  threads?: number;
  output?: string;
  json?: true;
}

export function evalCommand(): Command {
  return new Command('eval')
    .description("Score a model by COCO's protocol: the 12 figures, and the average precision of each category.")
    .argument('<model>', 'an ONNX file that dino8 wrote, or a Hugging Face folder')
    .argument('<coco>', "a folder of images in COCO's layout; its categories are the phrases")
    .option('--images <count>', 'only the first images', wholeNumber('--images'))
    .option('--threads <count>', 'threads to run with (default: one per core)', wholeNumber('--threads'))
    .option('-o, --output <file>', 'write the result as JSON there; an interrupted run goes on where it was')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ dino8 eval tiny.int8.onnx coco/val2017 --images 500 -o scores.json')
    .action(evaluate);
}

async function evaluate(model: string, folder: string, options: Options): Promise<void> {
  const dataset = takeImages(await openCoco(folder), options.images ?? Number.POSITIVE_INFINITY);
  const source = await readPackage(model);
  await using detector = await Detector.create(source, { threads: options.threads });
  const { output } = options;
  const journal =
    output === undefined ? undefined : await openEvaluationJournal(`${output}.partial`, source, dataset, work());
  const { figures, averagePrecisionOf, images } = await scoreDataset(detector, dataset, { ...work(), journal });
  const categories = dataset.categories.map(({ id, name }) => ({ id, name, AP: averagePrecisionOf.get(id) ?? -1 }));
  const result = { images, figures, categories };
  if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
  await journal?.remove();
  if (options.json) return printJson(result);
  print(
    table(
      ['figure', 'points'],
      Object.entries(figures).map(([name, value]) => [name, points(value)]),
    ),
  );
  print(
    table(
      ['category', 'AP'],
      categories.map(({ name, AP }) => [name, points(AP)]),
    ),
  );
}
