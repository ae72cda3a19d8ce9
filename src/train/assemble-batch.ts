/** Images, boxes and prompts of a batch as the inputs of the models of a training step. */
import type { Image } from '../data/image.ts';
import type { LabelledBox } from '../data/labelled-box.ts';
import type { Size } from '../data/size.ts';
import type { PhraseSpan, PromptChunk } from '../models/detection-family.ts';
import type { DenoisingQuery, DenoisingSettings, TrainingFamily } from '../models/training-family.ts';
import type { Feeds } from '../runtime/session.ts';
import { floats, integers, type Tensor, tensor } from '../runtime/tensor.ts';
import { STEP_INPUTS } from './step-names.ts';

/** One image of a batch with its labels and its prompt. */
export interface TrainingSample {
  readonly image: Image;
  /** Boxes in pixels of the image. */
  readonly labels: readonly LabelledBox[];
  readonly chunk: PromptChunk;
  /** The category of each phrase of the chunk. */
  readonly categories: readonly number[];
  /** The denoising queries in the order of their places; undefined for a place that no query takes. */
  readonly denoising: readonly (DenoisingQuery | undefined)[];
}

/** The inputs of the forward and the backward model that come from data. */
export interface Batch {
  /** Tensors by the names of inputs of either model. */
  readonly feeds: Feeds;
  /** The number of targets of each image. */
  readonly counts: readonly number[];
}

/** The sizes of a batch. */
export interface BatchSize {
  /** The number of images. */
  readonly batch: number;
  /** The canvas that images are fitted into, in pixels. */
  readonly canvas: Size;
  /** The number of tokens that prompts are padded to. */
  readonly textLength: number;
  /** The number of targets that every image is padded to. */
  readonly targets: number;
  /** The settings of denoising queries. */
  readonly denoising: DenoisingSettings;
}

/** The phrase of a category in the prompt of a sample. */
const spanOf = ({ chunk, categories }: TrainingSample, category: number): PhraseSpan | undefined =>
  chunk.phrases[categories.indexOf(category)];

/** Puts samples into tensors, one after the other. */
export function assembleBatch(samples: readonly TrainingSample[], size: BatchSize, family: TrainingFamily): Batch {
  const { batch, canvas, textLength, targets } = size;
  const rows = targets + 1; // The last row stands for "no target".
  const pixels = new Uint8Array(batch * canvas.height * canvas.width * 3);
  const sizes: number[] = [];
  const tokens = new BigInt64Array(batch * textLength);
  const tokenMask = new BigInt64Array(batch * textLength);
  const boxes = new Float32Array(batch * rows * 4);
  const positive = new Float32Array(batch * rows * textLength);
  for (const [place, sample] of samples.entries()) {
    const { image, labels, chunk } = sample;
    copyImage(image, pixels, place, canvas);
    sizes.push(image.height, image.width);
    tokens.set(BigInt64Array.from(chunk.tokens, BigInt), place * textLength);
    tokenMask.fill(1n, place * textLength, place * textLength + chunk.tokens.length);
    for (const [row, { box, category }] of labels.entries()) {
      boxes.set(centred(box, image), (place * rows + row) * 4);
      const span = spanOf(sample, category);
      const start = (place * rows + row) * textLength;
      if (span) positive.fill(1, start + span.begin, start + span.end);
    }
  }
  const counts = samples.map(({ labels }) => labels.length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return {
    counts,
    feeds: {
      [STEP_INPUTS.images]: tensor(pixels, [batch, canvas.height, canvas.width, 3]),
      [STEP_INPUTS.imageSizes]: integers(sizes, [batch, 2]),
      [family.inputs.tokens]: integers(tokens, [batch, textLength]),
      [family.inputs.tokenMask]: integers(tokenMask, [batch, textLength]),
      [STEP_INPUTS.targetBoxes]: floats(boxes, [batch, rows, 4]),
      [STEP_INPUTS.targetTokens]: floats(positive, [batch, rows, textLength]),
      [STEP_INPUTS.targetCount]: floats(Float32Array.of(Math.max(1, total)), []),
      ...denoisingFeeds(samples, size, family),
    },
  };
}

/** A box in pixels as (cx, cy, w, h) in fractions of the image. */
function centred([x, y, width, height]: LabelledBox['box'], image: Size): number[] {
  return [(x + width / 2) / image.width, (y + height / 2) / image.height, width / image.width, height / image.height];
}

function denoisingFeeds(
  samples: readonly TrainingSample[],
  { batch, textLength, targets, denoising: settings }: BatchSize,
  { denoising }: TrainingFamily,
): Feeds {
  const queries = 2 * denoising.groups(settings, targets) * targets;
  if (queries === 0) return {};
  const tokens = new Float32Array(batch * queries * textLength);
  const all = samples.flatMap((sample) => sample.denoising.map((query) => ({ query, sample })));
  for (const [place, { query, sample }] of all.entries()) {
    const span = query && spanOf(sample, query.category);
    if (!span) continue;
    const start = place * textLength;
    tokens.fill(1 / (span.end - span.begin), start + span.begin, start + span.end);
  }
  const boxes = Float32Array.from(all.flatMap(({ query }) => [...(query?.box ?? denoising.emptyBox)]));
  const assignment = all.map(({ query }) => query?.target ?? targets);
  const counts = Float32Array.from(all, ({ query }) => (query ? 1 : 0));
  return {
    [denoising.inputs.tokens]: floats(tokens, [batch, queries, textLength]),
    [denoising.inputs.boxes]: floats(boxes, [batch, queries, 4]),
    [STEP_INPUTS.denoisingAssignment]: integers(assignment, [batch, queries]),
    [STEP_INPUTS.denoisingCounts]: floats(counts, [batch, queries]),
  };
}

/** The mask that says which query sees which, [all, all] with the denoising queries first; undefined without denoising. */
export function denoisingMask(
  { denoising: settings, targets }: BatchSize,
  { denoising, queries }: TrainingFamily,
): Tensor | undefined {
  const groups = denoising.groups(settings, targets);
  const all = 2 * groups * targets + queries;
  return groups === 0 ? undefined : floats(denoising.mask(groups, targets), [all, all]);
}

/** Copies an image row by row into the upper left corner of its place on the canvas. */
function copyImage({ width, height, pixels: from }: Image, to: Uint8Array, place: number, canvas: Size): void {
  const start = place * canvas.height * canvas.width * 3;
  for (let row = 0; row < height; row++)
    to.set(from.subarray(row * width * 3, (row + 1) * width * 3), start + row * canvas.width * 3);
}
