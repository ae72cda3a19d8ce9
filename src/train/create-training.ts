/** A training, made from a checkpoint, a dataset and settings. */
import { abortSignal, checkFields, checkValue, optional } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { CocoDataset } from '../data/coco.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { withFloatTensors } from '../models/checkpoint/float-tensors.ts';
import { checkFamilyArgument, detectionOf, trainingOf } from '../models/family.ts';
import { hashWeights, storeWeightsHash } from '../models/package/model-identity.ts';
import { buildPackage, type CheckpointPackage, type ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { bytesOf } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { floatData } from '../runtime/tensor.ts';
import { Batches } from './batches.ts';
import { exportTrained } from './export-trained.ts';
import type { TrainablePlan } from './learned-scales.ts';
import type { BlockName } from './parameter-store.ts';
import { buildStepModels } from './step-models.ts';
import { Trainer, type TrainerOptions } from './trainer.ts';
import { type TrainingKey, trainingKey } from './training-key.ts';
import type { TrainingSettings } from './training-settings.ts';
import { targetsFor } from './training-size.ts';

/** A training that is ready to run: see `runTraining`. */
export interface Training extends AsyncDisposable {
  /** The models, the weights and the optimizer. */
  readonly trainer: Trainer;
  /** The settings that the training was made with. */
  readonly settings: TrainingSettings;
  /** Steps of one pass through the images; at least 1. */
  readonly stepsPerEpoch: number;
  /** The number of images whose gradients make one step: those of all accumulated batches. */
  readonly imagesPerStep: number;
  /** Everything that the training depends on. A state on disk with another key belongs to another training. */
  readonly key: TrainingKey;
  /** The trained weights, or their moving averages, as a checkpoint. The tensors are views that change with training. */
  readonly checkpoint: (block: BlockName) => Checkpoint;
  /** The model of the trained weights, or of their moving averages: an INT8 model after quantization-aware training. */
  readonly package: (block: BlockName) => Promise<ModelPackage>;
}

/** Options of `createTraining`. */
export interface CreateTrainingOptions extends Omit<TrainerOptions, 'lowMemory'> {
  /** The plan whose rounding is trained, with its scales: see `planQuantizedTraining`. For settings of the kind `qat`. */
  readonly quantized?: TrainablePlan | undefined;
  /** Stops before the graphs are built, before they are loaded, and after that, when they are closed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds the graphs of a training step and loads them, with the weights of a checkpoint as the start.
 * @throws UsageError if `quantized` is missing for settings of the kind `qat`, or given for those of the kind `train`
 * @throws InputError if the dataset has nothing to learn from, or the checkpoint lacks tensors
 * @throws the reason of `signal` if it was aborted
 * @example
 * const settings = resolveTrainingSettings(checkpoint, dataset, 'train', { epochs: 1 });
 * await using training = await createTraining(checkpoint, dataset, settings);
 * await runTraining(training, { directory: 'tuned' });
 * await writeCheckpoint(checkpoint, training.checkpoint('averages'), 'tuned');
 */
export async function createTraining(
  stored: CheckpointPackage,
  dataset: CocoDataset,
  settings: TrainingSettings,
  given: CreateTrainingOptions = {},
): Promise<Training> {
  checkFamilyArgument(stored);
  checkFields('The settings must be what `resolveTrainingSettings` returned', settings, 'kind', 'canvas');
  checkFields('The options must be an object', given);
  checkValue('The signal', optional(abortSignal), given.signal);
  const { quantized, signal, ...options } = given;
  signal?.throwIfAborted();
  if ((settings.kind === 'qat') !== (quantized !== undefined))
    throw new UsageError(
      settings.kind === 'qat'
        ? 'Quantization-aware training needs a plan: give the option quantized.'
        : 'The option quantized is for settings of the kind qat; resolve them for that kind.',
    );
  // A trained INT8 model is a form of the checkpoint that the training began with, and says so.
  const first = quantized && hashWeights(stored.tensors);
  const source = { ...stored, tensors: await withFloatTensors(stored.tensors) };
  const targets = targetsFor(dataset, source);
  const family = { detection: detectionOf(source), training: trainingOf(source) };
  const groups = family.training.denoising.groups(settings.denoising, targets);
  const size = { ...settings.canvas, batch: settings.batch, textLength: settings.textLength, targets, groups };
  signal?.throwIfAborted();
  const models = await buildStepModels(source, size, settings.loss, quantized);
  const batches = new Batches(dataset, createTokenizer(source.tokenizer, source.source), family, {
    ...settings,
    targets,
    preprocessing: source.preprocessing,
    labelled: settings.loss.labels > 0,
  });
  const initial = new Map(source.tensors);
  for (const { name, initial: scale } of quantized?.scales ?? [])
    initial.set(name, { type: DataType.FLOAT, shape: scale.shape, bytes: bytesOf(scale.data) });
  signal?.throwIfAborted();
  const trainer = await Trainer.create(models, initial, batches, settings, {
    ...options,
    lowMemory: settings.loss.recompute,
  });
  if (signal?.aborted) {
    await trainer[Symbol.asyncDispose]();
    throw signal.reason;
  }
  const checkpoint = (block: BlockName) => trainedCheckpoint(source, trainer, block);
  const build = async (block: BlockName): Promise<ModelPackage> => {
    const float = await buildPackage({ ...source, tensors: checkpoint(block) });
    if (!quantized) return float;
    if (first !== undefined) storeWeightsHash(float.model, first);
    const { model } = await exportTrained(float.model, quantized, (name) => trainer.value(name, block));
    return { ...float, model };
  };
  return {
    trainer,
    settings,
    stepsPerEpoch: Math.max(1, Math.floor(batches.perEpoch / settings.accumulate)),
    imagesPerStep: settings.batch * settings.accumulate,
    checkpoint,
    package: build,
    key: await trainingKey(source, dataset, settings, quantized),
    [Symbol.asyncDispose]: () => trainer[Symbol.asyncDispose](),
  };
}

/** The checkpoint with the trained values of a block in place of its own. */
function trainedCheckpoint(source: CheckpointPackage, { store }: Trainer, block: BlockName): Checkpoint {
  const { canonicalName } = trainingOf(source);
  const trained = new Map(
    store.parameters.map((parameter) => {
      const values = floatData(store.view(parameter, store.blocks[block])) as Float32Array<ArrayBuffer>; // a view of a block
      return [parameter.name, { type: DataType.FLOAT, shape: [...parameter.shape], bytes: bytesOf(values) }];
    }),
  );
  // A checkpoint may store a tensor under a second name as well.
  return new Map(
    [...source.tensors].map(([name, tensor]) => [
      name,
      trained.get(name) ?? trained.get(canonicalName(name)) ?? tensor,
    ]),
  );
}
