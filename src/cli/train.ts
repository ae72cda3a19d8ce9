import { Command } from 'commander';
import { openCoco, takeImages } from '../data/coco.ts';
import { trainingOf } from '../models/family.ts';
import { readCheckpoint } from '../models/package/package.ts';
import { writeCheckpoint } from '../train/write-checkpoint.ts';
import { addTrainingOptions, type TrainingOptions, train } from './training-options.ts';

interface Options extends TrainingOptions {
  output: string;
  fromScratch?: true;
}

export function trainCommand(): Command {
  const command = new Command('train')
    .description('Train a checkpoint on labelled images, in FP32. An interrupted training goes on where it was.')
    .argument('<checkpoint>', 'a Hugging Face folder, or an original .pth')
    .argument('<coco>', "a folder of images in COCO's layout; its categories are the phrases")
    .requiredOption('-o, --output <folder>', 'where the trained checkpoint is written, and the state while it trains')
    .option('--from-scratch', 'begin with random weights: of the checkpoint only its configuration is used');
  return addTrainingOptions(command, 'train')
    .addHelpText(
      'after',
      '\nExamples:\n  $ dino8 train grounding-dino-tiny/ coco/train2017 -o tuned/ --epochs 2 --batch 1 --accumulate 8\n  $ dino8 train assets/nano shapes/train -o fresh/ --from-scratch --backbone-rate 1 --validate shapes/val --report curves.html',
    )
    .action(async (checkpoint: string, folder: string, options: Options) => {
      const read = await readCheckpoint(checkpoint);
      const dataset = takeImages(await openCoco(folder), options.images ?? Number.POSITIVE_INFINITY);
      const tensors = options.fromScratch
        ? await trainingOf(read).initialWeights(read.tensors, options.seed + 1)
        : read.tensors;
      const source = { ...read, tensors };
      await train({
        source,
        dataset,
        directory: options.output,
        options,
        write: async (session) => {
          await writeCheckpoint(source, session.checkpoint('averages'), options.output);
          return { output: options.output };
        },
      });
    });
}
