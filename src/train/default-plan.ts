/**
 * The settings of a training that follow from its data and its model, where the caller leaves them open: how long, how many
 * images at once, and at which rates. What follows from neither has a fixed default in `training-settings.ts`.
 */

import { checkFields, checkOptions, type OptionSchemas, truth, wholeNumber } from '../base/check-options.ts';

/** The options that `defaultPlan` decides where they are left out. */
export interface PlanChoices {
  /** Passes through the images. */
  readonly epochs?: number | undefined;
  /** Steps of the optimizer. */
  readonly steps?: number | undefined;
  /** Images that are computed at once. */
  readonly batch?: number | undefined;
  /** Batches whose gradients are added up for one step. */
  readonly accumulate?: number | undefined;
  /** The maximum of the learning rate. */
  readonly learningRate?: number | undefined;
  /** The learning rate of the backbones, as a multiple of the others'. */
  readonly backboneRate?: number | undefined;
  /** The learning rate of quantization scales, as a multiple of the others'. */
  readonly scaleRate?: number | undefined;
  /** The fraction of the steps in which the learning rate rises. */
  readonly rise?: number | undefined;
  /** The fraction of the moving average of the weights that each step keeps. */
  readonly averageDecay?: number | undefined;
  /** Whether the layers of the encoder are computed again in the backward pass. */
  readonly recompute?: boolean | undefined;
}

/** What a training is planned for. */
export interface PlannedFor {
  /** The number of images of the data set. */
  readonly images: number;
  /** The number of pixels of the canvas that images are fitted into. */
  readonly pixels: number;
  /** The width of the model: the number of channels of its encoder and decoder. */
  readonly width: number;
  /** Whether the weights are random at the start. */
  readonly fromScratch: boolean;
}

/** A plan: every choice is made. */
export type TrainingPlan = {
  readonly [Name in Exclude<keyof PlanChoices, 'epochs'>]-?: NonNullable<PlanChoices[Name]>;
};

/** The width of the published models. */
const PUBLISHED_WIDTH = 256;
/** The maximum learning rate of the published models, for a step of `IMAGES_PER_STEP` images. */
const PUBLISHED_RATE = 1e-4;
/** The published models train their backbones, which have seen many kinds of pictures, at a tenth of the rate. */
const PUBLISHED_BACKBONE_RATE = 0.1;
/** The images of one step. With fewer, the gradient is noisier and the rate is lower. */
const IMAGES_PER_STEP = 12;
/** The pixels times channels that are computed at once: with them, a training needs some 4 GB beside its weights. */
const COMPUTED_AT_ONCE = 64e6;
/** The number of passes through a data set of ordinary size. */
const EPOCHS = 10;
/** The images that a training sees at least, but no image more than `MOST_EPOCHS` times. */
const FEWEST_SEEN = 7200;
const MOST_EPOCHS = 100;
/** A training sees no more images than this, but each once. */
const MOST_SEEN = 100_000;
/** Random weights need longer, and take a higher rate. */
const SCRATCH = { longer: 4, rate: 2 };
/** The rate rises in this fraction of the steps: AdamW knows little of the gradients at first, and would take large steps. */
const RISE = 0.05;
/** The moving average is of the last steps, a tenth of all; of a long training, of the last thousand. */
const AVERAGED = 0.1;
const LONGEST_AVERAGE = 1000;

const planSchemas: OptionSchemas<PlannedFor> = {
  images: wholeNumber(0),
  pixels: wholeNumber(1),
  width: wholeNumber(1),
  fromScratch: truth,
};

/**
 * Chooses what the caller leaves open. The same data and model give the same plan on every machine, so that a training can
 * continue on another one.
 *
 * - The rate falls with the width of the model, as AdamW's best rate does (Yang et al. 2022, https://arxiv.org/abs/2203.03466),
 *   and with the root of the images of a step if they are few.
 * - A narrow model learns everything at the full rate. The wide ones are published, and their backbones keep what they know.
 * - The rate of quantization scales does not depend on the width.
 *
 * @throws UsageError if a number is not possible
 * @example
 * defaultPlan({ images: 205, pixels: 480 * 640, width: 256, fromScratch: false }); // { steps: 597, batch: 1, accumulate: 12, … }
 */
export function defaultPlan(planned: PlannedFor, given: PlanChoices = {}): TrainingPlan {
  checkOptions('What is planned for', planSchemas, planned);
  checkFields('The given choices must be an object', given);
  const { images, pixels, width, fromScratch } = planned;
  const computed = pixels * width;
  const fits = Math.max(1, Math.floor(COMPUTED_AT_ONCE / computed));
  // A batch that is stated is a whole step, unless it is stated how many make one.
  const batch =
    given.batch ?? Math.min(fits, Math.ceil(IMAGES_PER_STEP / (given.accumulate ?? 1)), Math.max(1, images));
  const perStep = Math.min(IMAGES_PER_STEP, Math.max(1, images));
  const accumulate = given.accumulate ?? (given.batch === undefined ? Math.max(1, Math.floor(perStep / batch)) : 1);
  const imagesPerStep = batch * accumulate;
  const stepsPerEpoch = Math.max(1, Math.floor(images / imagesPerStep));
  const longer = fromScratch ? SCRATCH.longer : 1;
  const epochs = given.epochs ?? epochsFor(images) * longer;
  const steps = given.steps ?? Math.max(1, Math.round(epochs * stepsPerEpoch));
  const rate =
    PUBLISHED_RATE *
    (PUBLISHED_WIDTH / width) *
    Math.min(1, Math.sqrt(imagesPerStep / IMAGES_PER_STEP)) *
    (fromScratch ? SCRATCH.rate : 1);
  return {
    steps,
    batch,
    accumulate,
    learningRate: given.learningRate ?? rounded(rate),
    backboneRate: given.backboneRate ?? (fromScratch || width < PUBLISHED_WIDTH ? 1 : PUBLISHED_BACKBONE_RATE),
    scaleRate: given.scaleRate ?? rounded(Math.min(1, width / PUBLISHED_WIDTH)),
    rise: given.rise ?? RISE,
    averageDecay: given.averageDecay ?? 1 - 1 / Math.min(LONGEST_AVERAGE, Math.max(1, Math.round(AVERAGED * steps))),
    recompute: given.recompute ?? batch * computed > COMPUTED_AT_ONCE,
  };
}

/** The passes through so many images. */
function epochsFor(images: number): number {
  const seen = Math.min(Math.max(EPOCHS * images, FEWEST_SEEN), Math.max(MOST_SEEN, images));
  return Math.min(MOST_EPOCHS, seen / Math.max(1, images));
}

/** A number with two digits, as people write rates. */
const rounded = (value: number): number => Number(value.toPrecision(2));
