import { train } from '../pipeline/train-step.ts';
import {
  addDatasetOptions,
  addValidationDatasetOptions,
  CHECKPOINT_ARGUMENT,
  DATASET_ARGUMENT,
  separateDataset,
} from './dataset-options.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { printJson } from './output.ts';
import { printTraining, trainingCommand, trainingProgress } from './training-command.ts';

/** `dino8 train` */
export const trainCommand = () =>
  addValidationDatasetOptions(
    addDatasetOptions(
      trainingCommand('train')
        .description('Train a checkpoint on labelled images in FP32. An interrupted training continues where it was.')
        .argument('<checkpoint>', CHECKPOINT_ARGUMENT)
        .argument('<dataset>', DATASET_ARGUMENT)
        .requiredOption(
          '-o, --output <folder>',
          'the folder to write: the trained checkpoint, and the state while it trains',
        )
        .option('--from-scratch', 'start from random weights; the checkpoint then gives only its configuration'),
    ),
  )
    .addHelpText(
      'after',
      examples(
        'dino8 train assets/nano assets/shapes/calib -o tuned/ --epochs 1 --validate assets/shapes/val --validate-images 50',
        'dino8 train assets/nano assets/shapes/calib -o fresh/ --from-scratch --backbone-rate 1 --steps 200 --report curves.html',
      ),
    )
    .action(async (checkpoint, dataset, { json, ...given }) => {
      const { named, validate, others: options } = separateDataset(given);
      const progress = trainingProgress(options.output);
      const result = await train({
        ...options,
        ...progress,
        checkpoint,
        dataset: named(dataset),
        validate,
        signal: interruption(),
      });
      if (json) return printJson(result);
      printTraining(result.output, result);
    });
