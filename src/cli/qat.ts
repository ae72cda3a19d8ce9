import { Command } from 'commander';
import { sizeOf } from '../base/files.ts';
import { openCoco, takeImages } from '../data/coco.ts';
import { buildPackage, readCheckpoint, writePackage } from '../models/package/package.ts';
import { planQuantizedTraining } from '../pipeline/plan-quantized-training.ts';
import { bundledRecipes, DEFAULT_RECIPE, readRecipe } from '../quant/recipe.ts';
import { addCalibrationOptions, type CalibrationSource, findCalibration } from './calibration-source.ts';
import { wholeNumber, work } from './terminal.ts';
import { addTrainingOptions, positive, type TrainingOptions, train } from './training-options.ts';

interface Options extends TrainingOptions, Omit<CalibrationSource, 'seed'> {
  output: string;
  recipe: string;
  distil: number;
  labels: number;
  warmUp: number;
  scaleRate: number;
  freezeScales?: number;
}

export function qatCommand(): Command {
  const command = new Command('qat')
    .description('Train a checkpoint with the rounding of a recipe in place, and write the INT8 model.')
    .argument('<checkpoint>', 'a Hugging Face folder, or an original .pth')
    .argument('<coco>', "a folder of labelled images in COCO's layout; its categories are the phrases")
    .requiredOption('-o, --output <file>', 'the INT8 model; while it trains, OUTPUT.training holds its state')
    .option('--recipe <recipe>', `a bundled recipe (${bundledRecipes().join(', ')}) or a YAML file`, DEFAULT_RECIPE)
    .option('--warm-up <steps>', 'steps in float before rounding is turned on', wholeNumber('--warm-up', 0), 0)
    .option(
      '--scale-rate <factor>',
      'the learning rate of scales, as a multiple; 0 leaves them as calibrated',
      positive('--scale-rate', true),
      1,
    )
    .option('--distil <weight>', 'learn from the checkpoint as it is, in FP32, as well', positive('--distil', true), 0)
    .option('--labels <weight>', 'of the boxes of the dataset; 0 needs none', positive('--labels', true), 1)
    .option(
      '--freeze-scales <step>',
      'the step after which scales stay as they are',
      wholeNumber('--freeze-scales', 0),
    );
  addCalibrationOptions(command, false);
  return addTrainingOptions(command, 'qat')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 qat grounding-dino-tiny/ coco/train2017 --statistics statistics.json --recipe mixed --epochs 1 -o tiny.int8.onnx\n  $ dino8 qat assets/nano shapes/train --calibration shapes/calib --recipe full --batch 12 --epochs 3 -o nano.int8.onnx',
    )
    .action(async (checkpoint: string, folder: string, options: Options) => {
      const source = await readCheckpoint(checkpoint);
      const recipe = await readRecipe(options.recipe);
      const float = await buildPackage(source);
      const { statistics, plan } = await findCalibration(float, options);
      const quantized = await planQuantizedTraining(float, recipe, { ...work(), statistics, plan });
      await train({
        source,
        dataset: takeImages(await openCoco(folder), options.images ?? Number.POSITIVE_INFINITY),
        directory: `${options.output}.training`,
        options,
        quantized,
        write: async (session) => {
          await writePackage(await session.package('averages'), options.output);
          return { output: options.output, bytes: await sizeOf(options.output), recipe: recipe.name };
        },
      });
    });
}
