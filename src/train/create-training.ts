/** From a checkpoint, a dataset and settings to a training that can run. */
import { createHash } from 'node:crypto';
import { InputError } from '../base/errors.ts';
import type { CocoDataset } from '../data/coco.ts';
import { resizedSize, type Size } from '../data/size.ts';
import { Detector } from '../detect/detector.ts';
import { scoreDataset } from '../evaluate/score-dataset.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { withFloatTensors } from '../models/checkpoint/float-tensors.ts';
import { longestText } from '../models/grounding-dino/config.ts';
import { createPrompt } from '../models/grounding-dino/prompt.ts';
import { DENOISING, denoisingGroups } from '../models/grounding-dino/training/denoising.ts';
import { buildPackage, type CheckpointPackage, type ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import type { DenoisingSettings } from '../models/training-family.ts';
import { bytesOf } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import type { Recipe } from '../quant/recipe.ts';
import type { AugmentationStrength } from './augment.ts';
import { Batches } from './batches.ts';
import type { BlockName } from './parameter-store.ts';
import { exportTrained, type TrainablePlan } from './quantize-training.ts';
import { buildStepModels, type LossSettings } from './step-models.ts';
import { Trainer, type TrainerOptions, type TrainerSettings } from './trainer.ts';

export interface TrainingSettings extends TrainerSettings {
  readonly batch: number;
  /** All images are fitted into this. */
  readonly canvas: Size;
  readonly textLength: number;
  readonly seed: number;
  readonly augmentation: AugmentationStrength;
  readonly loss: LossSettings;
  readonly denoising: DenoisingSettings;
}

/** The most targets of an image that are learned; more are left out. */
const MOST_TARGETS = 300;
/** Texts and targets are padded to multiples of this, and sides of the canvas. */
const UNIT = 8;
const SIDE_UNIT = 32;

const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;

/** The canvas that holds every image of a dataset as the model's preprocessing resizes it. */
function canvasFor(dataset: CocoDataset, { preprocessing }: CheckpointPackage): Size {
  const { shortest_edge: shortest, longest_edge: longest } = preprocessing.size;
  const sizes = dataset.images.map((image) => resizedSize(image, shortest, longest));
  const largest = (side: keyof Size) => sizes.reduce((most, size) => Math.max(most, size[side]), SIDE_UNIT);
  return { height: roundUp(largest('height'), SIDE_UNIT), width: roundUp(largest('width'), SIDE_UNIT) };
}

/** The length of a prompt with all categories that occur in a dataset, or the longest that the model takes. */
function textLengthFor(dataset: CocoDataset, { config, tokenizer, source }: CheckpointPackage): number {
  const occurring = new Set(dataset.annotations.map(({ category_id }) => category_id));
  // Without any box there is nothing but the teacher to learn from, of all categories.
  const known = dataset.categories.filter(({ id }) => occurring.size === 0 || occurring.has(id));
  const names = known.map(({ name }) => name);
  if (names.length === 0) throw new InputError('The dataset has no categories; there is nothing to learn.');
  const words = createTokenizer(tokenizer, source);
  const longest = longestText(config);
  const { chunks } = createPrompt(names, words, longest);
  return Math.min(longest, roundUp(Math.max(...chunks.map(({ tokens }) => tokens.length)), UNIT));
}

/** What is done where nothing else is said; images fill the canvas that the model's preprocessing gives them. */
export function defaultSettings(source: CheckpointPackage, dataset: CocoDataset): TrainingSettings {
  const weights = { class: 1, box: 5, giou: 2 };
  return {
    batch: 4,
    accumulate: 1,
    steps: 1000,
    canvas: canvasFor(dataset, source),
    textLength: textLengthFor(dataset, source),
    seed: 0,
    augmentation: { mirror: 0.5, crop: 0, smallest: 0.6, colour: 0 },
    loss: { matching: weights, loss: weights, recompute: false, labels: 1, distillation: 0 },
    denoising: { ...DENOISING, queries: 0 },
    schedule: { kind: 'cosine', max: 1e-4, final: 0.01 },
    groups: { weightDecay: 1e-4, backboneRate: 1, scaleRate: 1 },
    optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 0.1, averageDecay: 0.99 },
    warmUp: 0,
    freezeScales: Number.MAX_SAFE_INTEGER,
  };
}

export interface TrainingSession extends AsyncDisposable {
  readonly trainer: Trainer;
  readonly batches: Batches;
  /** What the training depends on: a state on disk of another key is of another training. */
  readonly key: string;
  /** The trained weights, as a checkpoint. */
  readonly checkpoint: (block: BlockName) => Checkpoint;
  /** The model of the trained weights: INT8 if it was trained to be. */
  readonly package: (block: BlockName) => Promise<ModelPackage>;
}

export interface QuantizedTraining {
  readonly recipe: Recipe;
  readonly trainable: TrainablePlan;
}

export async function createTraining(
  stored: CheckpointPackage,
  dataset: CocoDataset,
  settings: TrainingSettings,
  options: TrainerOptions & { readonly quantized?: QuantizedTraining | undefined } = {},
): Promise<TrainingSession> {
  const { quantized } = options;
  const source = { ...stored, tensors: await withFloatTensors(stored.tensors) };
  const largest = Math.max(...countTargets(dataset).values(), 1);
  const targets = Math.min(MOST_TARGETS, source.config.num_queries, roundUp(largest, UNIT));
  const groups = denoisingGroups(settings.denoising, targets);
  const size = { ...settings.canvas, batch: settings.batch, textLength: settings.textLength, targets, groups };
  const models = await buildStepModels(source, size, settings.loss, quantized?.trainable);
  const batches = new Batches(dataset, createTokenizer(source.tokenizer, source.source), {
    ...settings,
    targets,
    queries: source.config.num_queries,
    labelled: settings.loss.labels > 0,
  });
  const initial = new Map(source.tensors);
  for (const { name, initial: scale } of quantized?.trainable.scales ?? [])
    initial.set(name, { type: DataType.FLOAT, shape: scale.shape, bytes: bytesOf(scale.data) });
  const trainer = await Trainer.create(models, initial, batches, settings, {
    ...options,
    lean: settings.loss.recompute,
  });
  const checkpoint = (block: BlockName) => trainer.checkpoint(source.tensors, block);
  const build = async (block: BlockName): Promise<ModelPackage> => {
    const float = await buildPackage({ ...source, tensors: checkpoint(block) });
    return quantized ? quantizeTrained(float, quantized, trainer, block) : float;
  };
  return {
    trainer,
    batches,
    checkpoint,
    package: build,
    key: keyOf(source, dataset, settings, quantized),
    [Symbol.asyncDispose]: () => trainer[Symbol.asyncDispose](),
  };
}

async function quantizeTrained(
  float: ModelPackage,
  { recipe, trainable }: QuantizedTraining,
  trainer: Trainer,
  block: BlockName,
): Promise<ModelPackage> {
  const tensors = new Map(float.model.graph.initializer.map((tensor) => [tensor.name, tensor]));
  const { model } = await exportTrained(
    float.model,
    recipe,
    trainable,
    (name) => trainer.value(name, block),
    (name) => {
      const found = tensors.get(name);
      if (!found) throw new Error(`${name} is no weight of the model`);
      return found;
    },
  );
  return { ...float, model };
}

function countTargets(dataset: CocoDataset): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { image_id } of dataset.annotations) counts.set(image_id, (counts.get(image_id) ?? 0) + 1);
  return counts;
}

/** What decides the numbers of a training: data, settings, and the weights it begins with. */
function keyOf(
  source: CheckpointPackage,
  { images, annotations, categories }: CocoDataset,
  settings: TrainingSettings,
  quantized: QuantizedTraining | undefined,
): string {
  const hash = createHash('sha256');
  const recipe = quantized && [quantized.recipe, quantized.trainable.scales.map(({ name }) => name)];
  hash.update(JSON.stringify([images, annotations, categories, settings, recipe]));
  for (const [name, { bytes }] of source.tensors) hash.update(name).update(bytes);
  for (const { initial } of quantized?.trainable.scales ?? []) hash.update(bytesOf(initial.data));
  return hash.digest('hex');
}

/** The score of a training's model as it is. */
export async function scoreTraining(
  session: TrainingSession,
  dataset: CocoDataset,
  block: BlockName,
): Promise<{ AP: number; AP50: number; images: number }> {
  await using detector = await Detector.create(await session.package(block));
  const { figures, images } = await scoreDataset(detector, dataset);
  return { AP: 100 * figures.AP, AP50: 100 * figures.AP50, images };
}
