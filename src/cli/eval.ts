import { Command } from 'commander';
import { openCoco, takeImages } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import { readPackage } from '../model/package.ts';
import { points, print, printJson, table, wholeNumber, work } from './terminal.ts';

export function evalCommand(): Command {
  return new Command('eval')
    .description("Score a model by COCO's protocol: the 12 figures, and the average precision of each category.")
    .argument('<model>', 'an ONNX file that dino8 wrote, or a Hugging Face folder')
    .argument('<coco>', "a folder of images in COCO's layout; its categories are the phrases")
    .option('--images <count>', 'only the first images', wholeNumber('--images'))
    .option('--threads <count>', 'threads to run with (default: one per core)', wholeNumber('--threads'))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  $ dino8 eval tiny.int8.onnx coco/val2017 --images 500')
    .action(async (model: string, folder: string, options: { images?: number; threads?: number; json?: true }) => {
      const dataset = takeImages(await openCoco(folder), options.images ?? Number.POSITIVE_INFINITY);
      await using detector = await Detector.create(await readPackage(model), { threads: options.threads });
      const { figures, averagePrecisionOf, images } = await scoreDataset(detector, dataset, work());
      const categories = dataset.categories.map(({ id, name }) => ({ id, name, AP: averagePrecisionOf.get(id) ?? -1 }));
      if (options.json) return printJson({ images, figures, categories });
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
    });
}
