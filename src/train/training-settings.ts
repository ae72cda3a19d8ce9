/**
 * The settings of a training: options of the caller, most of which may be left out, become settings in which nothing is
 * left open. The defaults are here and nowhere else.
 */

import { z } from 'zod';
import {
  checkFields,
  checkOptions,
  checkValue,
  numberWithin,
  type OptionSchemas,
  oneOf,
  optional,
  truth,
  wholeNumber,
} from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { type CocoDataset, checkDatasetArgument } from '../data/coco.ts';
import type { Size } from '../data/size.ts';
import { checkFamilyArgument, trainingOf } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { LARGEST_SIDE } from '../models/specialize.ts';
import type { DenoisingSettings } from '../models/training-family.ts';
import type { AugmentationStrength } from './augment.ts';
import { defaultPlan } from './default-plan.ts';
import { SCHEDULES, type Schedule } from './schedule.ts';
import type { LossSettings } from './step-loss.ts';
import type { TrainerSettings } from './trainer.ts';
import { canvasFor, textLengthFor } from './training-size.ts';

/** `train`: in 32-bit floating point. `qat`: quantization-aware, with the rounding of a recipe in the graph. */
export type TrainingKind = 'train' | 'qat';

/**
 * Options of a training. Those that are left out have the values of `TRAINING_DEFAULTS`, or follow from the data and the model by
 * `defaultPlan`.
 */
export interface TrainingOptions {
  /** Passes through the images of the dataset, by default more of few images than of many. `steps` replaces it. */
  readonly epochs?: number | undefined;
  /** Steps of the optimizer. By default those of `epochs`. */
  readonly steps?: number | undefined;
  /** Images that are computed at once. By default 12, or as many as some 4 GB hold. */
  readonly batch?: number | undefined;
  /** Batches whose gradients are added up for one step. By default so many that a step has 12 images; 1 beside a given `batch`. */
  readonly accumulate?: number | undefined;
  /** The maximum of the learning rate. By default it follows from the width of the model and the images of a step. */
  readonly learningRate?: number | undefined;
  /** How the learning rate changes over the steps. */
  readonly schedule?: Schedule['kind'] | undefined;
  /** The minimum of the learning rate of the triangular schedules. */
  readonly baseRate?: number | undefined;
  /** Steps of one side of a triangle, of the triangular schedules. */
  readonly cycleSteps?: number | undefined;
  /** The fraction of the steps in which the learning rate rises, of the schedules `cosine` (by default 0.05) and `one-cycle` (0.3). */
  readonly rise?: number | undefined;
  /** Weight decay of AdamW; biases, normalisations and tables have none. */
  readonly weightDecay?: number | undefined;
  /** The learning rate of the image and text backbones, as a multiple of the others'. By default 0.1 at the published width, else 1. */
  readonly backboneRate?: number | undefined;
  /** The maximum norm of the gradient of a step; a larger gradient is scaled down to it. */
  readonly clip?: number | undefined;
  /**
   * The fraction of the moving average of the weights that each step keeps; 0 makes the average the weights themselves. By default
   * the average is of a tenth of the steps.
   */
  readonly averageDecay?: number | undefined;
  /** The height in pixels of the canvas that images are fitted into. By default it holds every image of the dataset. */
  readonly height?: number | undefined;
  /** The width in pixels of the canvas. */
  readonly width?: number | undefined;
  /** The number of tokens that prompts are padded to. By default that of a prompt with all categories that occur. */
  readonly textLength?: number | undefined;
  /** The probability that an image is mirrored. */
  readonly mirror?: number | undefined;
  /** The probability that an image is cropped and shrunk. */
  readonly crop?: number | undefined;
  /** The maximum relative change of brightness and saturation, 0 … 1. */
  readonly colour?: number | undefined;
  /** The weight of the classification loss; the L1 loss of boxes has 5 and the generalised IoU 2. */
  readonly classWeight?: number | undefined;
  /** The maximum number of denoising queries of an image; 0 trains without them. */
  readonly denoising?: number | undefined;
  /** The weight of the loss of labelled boxes; 0 trains from the teacher alone and ignores boxes. */
  readonly labels?: number | undefined;
  /** The weight of the distance from the checkpoint as it is in FP32, the teacher; 0 trains without a teacher. */
  readonly distil?: number | undefined;
  /** Steps in float before rounding is turned on. Only for `qat`. */
  readonly warmUp?: number | undefined;
  /**
   * The learning rate of quantization scales, as a multiple of the others'; 0 keeps the calibrated ones. By default it is lower for
   * narrow models, whose other rates are higher. Only for `qat`.
   */
  readonly scaleRate?: number | undefined;
  /** The step after which quantization scales are not changed any more. By default they always are. Only for `qat`. */
  readonly freezeScales?: number | undefined;
  /** The seed of everything that is random. */
  readonly seed?: number | undefined;
  /**
   * Compute the layers of the encoder again in the backward pass, which takes more time and much less memory. By default for images
   * of which one needs more than some 4 GB.
   */
  readonly recompute?: boolean | undefined;
}

/** The options of a training that have a fixed default. */
export type DefaultedOption =
  | 'schedule'
  | 'baseRate'
  | 'cycleSteps'
  | 'weightDecay'
  | 'clip'
  | 'mirror'
  | 'crop'
  | 'colour'
  | 'classWeight'
  | 'denoising'
  | 'labels'
  | 'distil'
  | 'warmUp'
  | 'seed';

/** The fixed defaults of the options of a training. */
export const TRAINING_DEFAULTS: Defaults<TrainingOptions, DefaultedOption> = {
  schedule: 'cosine',
  baseRate: 1e-6,
  cycleSteps: 2000,
  weightDecay: 1e-4,
  clip: 0.1,
  mirror: 0.5,
  crop: 0,
  colour: 0,
  classWeight: 1,
  denoising: 0,
  labels: 1,
  distil: 0,
  warmUp: 0,
  seed: 0,
};

/** The fraction of the steps in which the rate of the schedule `one-cycle` rises by default. */
const ONE_CYCLE_RISE = 0.3;

/** The settings of a training, all of them decided. */
export interface TrainingSettings extends TrainerSettings {
  /** Whether rounding is trained. */
  readonly kind: TrainingKind;
  /** Images of a batch. */
  readonly batch: number;
  /** The canvas that images are fitted into, in pixels. */
  readonly canvas: Size;
  /** Whether images may become larger than by the preprocessing of the model, to fill a canvas that was stated. */
  readonly enlarge: boolean;
  /** The number of tokens that prompts are padded to. */
  readonly textLength: number;
  /** The seed of everything that is random. */
  readonly seed: number;
  /** How strongly images are changed. */
  readonly augmentation: AugmentationStrength;
  /** The weights of the parts of the loss. */
  readonly loss: LossSettings;
  /** The settings of denoising queries. */
  readonly denoising: DenoisingSettings;
}

/** More steps than any training takes; the state counts them, and the log has a line for each. */
const MOST_STEPS = 1_000_000_000;

const fraction = optional(numberWithin(0, 1));
const factor = optional(numberWithin(0, 1e6));
const POSITIVE = { error: 'a number above 0' };
const rate = optional(z.number(POSITIVE).positive(POSITIVE));
const epochs = optional(z.number(POSITIVE).positive(POSITIVE).max(1e6, { error: 'a number of at most 1000000' }));
const countUpTo = (most: number) => optional(wholeNumber(1, most));
const stepsUpTo = optional(wholeNumber(0, MOST_STEPS));

/** What the options of a training must be. */
export const trainingSchemas: OptionSchemas<TrainingOptions> = {
  epochs,
  steps: countUpTo(MOST_STEPS),
  batch: countUpTo(1024),
  accumulate: countUpTo(65_536),
  learningRate: rate,
  schedule: optional(oneOf(SCHEDULES)),
  baseRate: rate,
  cycleSteps: countUpTo(MOST_STEPS),
  rise: fraction,
  weightDecay: factor,
  backboneRate: factor,
  clip: rate,
  averageDecay: fraction,
  height: countUpTo(LARGEST_SIDE),
  width: countUpTo(LARGEST_SIDE),
  textLength: countUpTo(4096),
  mirror: fraction,
  crop: fraction,
  colour: fraction,
  classWeight: rate,
  denoising: optional(wholeNumber(0, 10_000)),
  labels: factor,
  distil: factor,
  warmUp: stepsUpTo,
  scaleRate: factor,
  freezeScales: stepsUpTo,
  seed: optional(wholeNumber(0)),
  recompute: optional(truth),
};

/** The options of a training among those of a step. */
export function trainingOptionsOf(options: TrainingOptions): TrainingOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name in trainingSchemas));
}

/**
 * The settings of a training of `source` on `dataset`: the given options, and defaults for the others.
 *
 * @param start says whether the training starts from random weights, which need longer; by default from those of `source`
 * @throws UsageError if an option is out of range, is not honoured beside the others, or leaves nothing to learn from
 * @example
 * const settings = resolveTrainingSettings(await readCheckpoint('nano'), await readDataset('coco'), 'qat', { steps: 100 });
 */
export function resolveTrainingSettings(
  source: CheckpointPackage,
  dataset: CocoDataset,
  kind: TrainingKind,
  options: TrainingOptions = {},
  start: TrainingStart = {},
): TrainingSettings {
  checkFamilyArgument(source);
  checkDatasetArgument(dataset);
  checkValue('The kind', oneOf(['train', 'qat']), kind);
  checkTraining(kind, options);
  checkOptions('The start of a training', startSchemas, start);
  const given = { ...TRAINING_DEFAULTS, ...withoutUndefined(options) };
  const canvas = canvasFor(dataset, source, { height: given.height, width: given.width });
  const plan = defaultPlan(
    {
      images: dataset.images.length,
      pixels: canvas.height * canvas.width,
      width: trainingOf(source).width,
      fromScratch: start.fromScratch ?? false,
    },
    given.schedule === 'one-cycle' ? { rise: ONE_CYCLE_RISE, ...given } : given,
  );
  const weights = { class: given.classWeight, box: 5, giou: 2 };
  return {
    kind,
    batch: plan.batch,
    accumulate: plan.accumulate,
    steps: plan.steps,
    canvas,
    enlarge: source.preprocessing.do_resize && (given.height !== undefined || given.width !== undefined),
    textLength: given.textLength ?? textLengthFor(dataset, source),
    seed: given.seed,
    augmentation: { mirror: given.mirror, crop: given.crop, smallest: 0.6, colour: given.colour },
    loss: {
      matching: weights,
      loss: weights,
      recompute: plan.recompute,
      labels: given.labels,
      distillation: given.distil,
    },
    denoising: { ...trainingOf(source).denoising.defaults, queries: given.denoising },
    schedule: scheduleOf({ ...given, ...plan }),
    groups: {
      weightDecay: given.weightDecay,
      backboneRate: plan.backboneRate,
      scaleRate: plan.scaleRate,
    },
    optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: given.clip, averageDecay: plan.averageDecay },
    warmUp: given.warmUp,
    freezeScales: given.freezeScales,
  };
}

/** What a training starts from. */
export interface TrainingStart {
  /** Whether the weights are random at the start. */
  readonly fromScratch?: boolean | undefined;
}

const startSchemas: OptionSchemas<TrainingStart> = { fromScratch: optional(truth) };

/**
 * One sentence that says how long a training is and at which rates it learns.
 * @example
 * const settings = resolveTrainingSettings(checkpoint, dataset, 'train');
 * describePlan(settings, dataset.images.length); // '205 images: 597 steps of 12 images (35 passes), a learning rate of …'
 */
export function describePlan(settings: TrainingSettings, images: number): string {
  checkFields('The settings must be what `resolveTrainingSettings` returned', settings, 'kind', 'schedule', 'groups');
  checkValue('The number of images', wholeNumber(0), images);
  const { batch, accumulate, steps, schedule, groups, optimizer, loss } = settings;
  const perStep = batch * accumulate;
  const passes = (steps * perStep) / Math.max(1, images);
  const backbones =
    groups.backboneRate === 1 ? 'in the backbones too' : `${groups.backboneRate} of it in the backbones`;
  const parts = [
    `a learning rate of up to ${schedule.max.toExponential(1)} (${schedule.kind}; ${backbones})`,
    `weights averaged with a decay of ${Number(optimizer.averageDecay.toPrecision(3))}`,
    ...(loss.recompute ? ['the encoder computed twice to save memory'] : []),
  ];
  const ofImages = accumulate === 1 ? `${batch}` : `${accumulate} x ${batch}`;
  const rounded = passes < 10 ? Number(passes.toPrecision(2)) : Math.round(passes);
  return `${images} images: ${steps} steps of ${ofImages} images (${rounded} passes), ${parts.join(', ')}.`;
}

/** The options of quantization-aware training alone. */
const QAT_ONLY = ['warmUp', 'scaleRate', 'freezeScales'] as const;
/** The options of the triangular schedules alone. */
const TRIANGULAR_ONLY = ['baseRate', 'cycleSteps'] as const;
/** The schedules whose rate rises once. */
const RISING: readonly Schedule['kind'][] = ['cosine', 'one-cycle'];

function checkTraining(kind: TrainingKind, options: TrainingOptions): void {
  checkOptions('A training', trainingSchemas, options);
  const defaults: TrainingOptions = TRAINING_DEFAULTS;
  const isChanged = (name: keyof TrainingOptions) => options[name] !== undefined && options[name] !== defaults[name];
  const refuse = (name: keyof TrainingOptions | undefined, why: string) => {
    if (name !== undefined) throw new UsageError(`The training option \`${name}\` ${why}.`);
  };
  const schedule = options.schedule ?? TRAINING_DEFAULTS.schedule;
  if (kind === 'train') refuse(QAT_ONLY.find(isChanged), 'is for quantization-aware training only; leave it out');
  if (!schedule.startsWith('triangular'))
    refuse(TRIANGULAR_ONLY.find(isChanged), 'is for the triangular schedules only; leave it out');
  if (!RISING.includes(schedule) && isChanged('rise'))
    refuse('rise', 'is for the schedules cosine and one-cycle only; leave it out');
  if (options.steps !== undefined && isChanged('epochs'))
    refuse('epochs', 'has no meaning beside steps; leave one of them out');
  if (options.labels === 0 && (options.distil ?? 0) === 0)
    throw new UsageError('There is nothing to learn from: set `labels` or `distil` to a weight above 0.');
}

/** Options that have values. */
type Given<Name extends keyof TrainingOptions> = { readonly [Each in Name]: NonNullable<TrainingOptions[Each]> };

/** The options without those that are undefined, which count as left out. */
function withoutUndefined(options: TrainingOptions) {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<Given<keyof TrainingOptions>>; // the entries that have a value
}

function scheduleOf({
  schedule: kind,
  learningRate: max,
  baseRate: base,
  cycleSteps: step,
  rise,
}: Given<'schedule' | 'learningRate' | 'baseRate' | 'cycleSteps' | 'rise'>): Schedule {
  switch (kind) {
    case 'constant':
      return { kind, max };
    case 'cosine':
      return { kind, max, rise, final: 0.01 };
    case 'one-cycle':
      return { kind, max, rise };
    default:
      return { kind, max, base, step };
  }
}
