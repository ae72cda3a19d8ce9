/** The step that trains a checkpoint on labelled images in 32-bit floating point. */

import { join } from 'node:path';
import { type OptionSchemas, optional, text, truth } from '../base/check-options.ts';
import { exists } from '../base/files.ts';
import { trainingOf } from '../models/family.ts';
import { KEPT_WEIGHTS, type KeptWeights } from '../train/run-training.ts';
import { writeCheckpoint } from '../train/write-checkpoint.ts';
import { datasetSchema } from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type DatasetSource, openCheckpoint } from './sources.ts';
import { checkStepFiles } from './step-files.ts';
import { openTrainingData } from './training-data.ts';
import {
  checkUnused,
  runPreparedTraining,
  type TrainingResult,
  type TrainingStepOptions,
  trainingStepSchemas,
} from './training-options.ts';

/** Options of `train`. */
export type TrainStepOptions = TrainingStepOptions & {
  /** The path of the checkpoint: a Hugging Face folder, or one file of weights (PyTorch or safetensors) with the tokenizer beside it. */
  readonly checkpoint: string;
  /** The labelled images; the categories are the phrases. */
  readonly dataset: DatasetSource;
  /** The folder to write: the trained checkpoint, and the state while it trains. */
  readonly output: string;
  /** Starts from random weights; the checkpoint then gives only its configuration. */
  readonly fromScratch?: boolean | undefined;
};

const schemas: OptionSchemas<TrainStepOptions> = {
  ...trainingStepSchemas,
  checkpoint: text,
  dataset: datasetSchema,
  output: text,
  fromScratch: optional(truth),
};

/** The result of `train`. */
export interface TrainResult extends TrainingResult {
  /** The folder of the trained checkpoint. */
  readonly output: string;
}

/**
 * Trains a checkpoint. An interrupted training continues where it was, with the same numbers, when it is called again with
 * the same options.
 *
 * @throws UsageError if an option is out of range; InputError if the state in `output` belongs to another training;
 * DivergenceError if the loss is no longer a number
 * @example
 * await train({ checkpoint: 'grounding-dino-tiny/', dataset: 'coco/train2017', output: 'tuned/', epochs: 2, batch: 1 });
 */
export async function train(options: TrainStepOptions): Promise<TrainResult> {
  return runStep('train', schemas, options, async () => {
    const { checkpoint, dataset: data, output, fromScratch = false, ...training } = options;
    checkUnused(options);
    const pathOf = (name: KeptWeights) => join(output, name);
    const { tokenizer, overwrite } = training;
    const files = { models: [checkpoint], tokenizer, data: [data, training.validate], overwrite };
    await checkStepFiles({ ...files, outputs: [training.report], modelOutput: output });
    // A training may start from the best weights of an earlier one in the same folder.
    for (const name of KEPT_WEIGHTS)
      if (await exists(pathOf(name))) await checkStepFiles({ ...files, outputs: [], modelOutput: pathOf(name) });
    const read = await openCheckpoint(checkpoint, options);
    const dataset = await openTrainingData(read, data, training);
    // The seed of the weights differs from that of the batches, so that the two choices are independent.
    const weightSeed = (training.seed ?? 0) + 1;
    const tensors = fromScratch ? await trainingOf(read).initialWeights(read.tensors, weightSeed) : read.tensors;
    const source = { ...read, tensors };
    const result = await runPreparedTraining({
      kind: 'train',
      source,
      dataset,
      directory: output,
      options: training,
      fromScratch,
      output,
      pathOf,
      write: (trained, folder) => writeCheckpoint(source, trained.checkpoint('averages'), folder),
    });
    return { output, ...result };
  });
}
