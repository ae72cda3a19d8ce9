import { qat } from '../pipeline/qat-step.ts';
import { DEFAULT_RECIPE } from '../quant/recipe.ts';
import { TRAINING_DEFAULTS } from '../train/training-settings.ts';
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
import { addCalibrationOptions, notNegative, recipeOption, statisticsOf, wholeNumber } from './shared-options.ts';
import { printTraining, trainingCommand, trainingProgress } from './training-command.ts';

const { warmUp, labels, distil }: Record<'warmUp' | 'labels' | 'distil', number> = TRAINING_DEFAULTS;

/** `dino8 qat` */
export const qatCommand = () =>
  addCalibrationOptions(
    addValidationDatasetOptions(
      addDatasetOptions(
        trainingCommand('qat')
          .description(
            'Train a checkpoint with the rounding of a recipe in place (quantization-aware training), and write the INT8 model. An interrupted training continues where it was.',
          )
          .argument('<checkpoint>', CHECKPOINT_ARGUMENT)
          .argument('<dataset>', DATASET_ARGUMENT)
          .requiredOption(
            '-o, --output <file>',
            'the INT8 model to write; while it trains, the folder <file>.training holds the state and the log',
          )
          .addOption(recipeOption('the recipe whose rounding is in place', DEFAULT_RECIPE))
          .option(
            '--warm-up <steps>',
            'number of steps in float before quantization is turned on',
            wholeNumber('--warm-up', 0),
            warmUp,
          )
          .option(
            '--scale-rate <factor>',
            'factor on the learning rate of quantization scales; 0 leaves them as calibrated (default: 1 for models of the published width of 256 channels, and less for narrower ones)',
            notNegative('--scale-rate'),
          )
          .option(
            '--freeze-scales <step>',
            'step after which quantization scales no longer change (default: never)',
            wholeNumber('--freeze-scales', 0),
          )
          .option(
            '--distil <weight>',
            'weight of the distillation loss, by which the model learns from the FP32 checkpoint; 0 trains without it',
            notNegative('--distil'),
            distil,
          )
          .option(
            '--labels <weight>',
            'weight of the labelled-box loss; 0 trains from --distil alone and ignores boxes',
            notNegative('--labels'),
            labels,
          ),
      ),
    ),
  )
    .addHelpText(
      'after',
      examples(
        'dino8 qat assets/nano assets/shapes/calib --calibration assets/shapes/calib --recipe full --steps 240 -o nano.int8.onnx',
      ),
    )
    .action(async (checkpoint, dataset, { json, ranges, ...given }) => {
      const { named, calibration, validate, others: options } = separateDataset(given);
      const statistics = statisticsOf({ statistics: options.statistics, ranges });
      const progress = trainingProgress(`${options.output}.training`);
      const result = await qat({
        ...options,
        ...progress,
        statistics,
        checkpoint,
        dataset: named(dataset),
        calibration,
        validate,
        signal: interruption(),
      });
      if (json) return printJson(result);
      printTraining(result.output, result);
    });
