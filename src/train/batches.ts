/**
 * What each step of a training looks at. Everything is drawn from the seed and the place in the order alone, so that a
 * training that goes on after an interruption sees what it would have seen.
 */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { InputError } from '../base/errors.ts';
import type { CocoDataset, CocoImage } from '../data/coco.ts';
import { type Image, readImage } from '../data/image.ts';
import type { LabelledBox } from '../data/labelled-box.ts';
import { shuffle } from '../data/shuffle.ts';
import type { Size } from '../data/size.ts';
import type { DetectionFamily, PromptChunk } from '../models/detection-family.ts';
import { detectionOf, trainingOf } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { createTokenizer, type Tokenizer } from '../models/tokenizer.ts';
import type { DenoisingQuery, DenoisingSettings, TrainingFamily } from '../models/training-family.ts';
import type { Feeds } from '../runtime/session.ts';
import { floats, integers, type Tensor, tensor } from '../runtime/tensor.ts';
import { type AugmentationStrength, augment, chooseAugmentation } from './augment.ts';
import { DENOISING_INPUTS } from './step-models.ts';

export interface BatchSettings {
  readonly batch: number;
  readonly canvas: Size;
  readonly textLength: number;
  /** The largest number of targets of an image; more are left out. */
  readonly targets: number;
  readonly denoising: DenoisingSettings;
  readonly seed: number;
  readonly augmentation: AugmentationStrength;
  /** Whether there is nothing to learn without boxes. */
  readonly labelled: boolean;
}

/** Inputs of the forward and the backward model that come from data. */
export interface Batch {
  readonly feeds: Feeds;
  /** Targets of each image. */
  readonly counts: readonly number[];
}

interface Sample {
  readonly image: Image;
  readonly labels: readonly LabelledBox[];
  readonly chunk: PromptChunk;
  /** The category of each phrase of the chunk. */
  readonly categories: readonly number[];
  readonly denoising: readonly (DenoisingQuery | undefined)[];
}

/** Numbers in 0 … 1 from a seed and what they are for. */
function randomOf(...key: readonly number[]): () => number {
  const seed = key.reduce((state, part) => (Math.imul(state ^ part, 0x9e3779b1) ^ (state >>> 15)) | 0, 0x2545f491);
  const generator = xoroshiro128plus(seed);
  const STEPS = 2 ** 30;
  return () => uniformInt(generator, 0, STEPS - 1) / STEPS;
}

/** `random` as whole numbers below a limit. */
const below = (random: () => number) => (limit: number) => Math.floor(random() * limit);

export class Batches {
  readonly #dataset: CocoDataset;
  readonly #detection: DetectionFamily;
  readonly #family: TrainingFamily;
  readonly #tokenizer: Tokenizer;
  readonly #settings: BatchSettings;
  readonly #labels = new Map<number, LabelledBox[]>();
  /** The categories that occur, by id: what never occurs is not taught to be absent. */
  readonly #names: Map<number, string>;
  readonly #orders = new Map<number, CocoImage[]>();
  /** Who sees whom among the queries, the same for every batch; undefined without denoising. */
  readonly #mask: Tensor | undefined;

  /** @throws InputError if there is nothing to learn from */
  constructor(dataset: CocoDataset, source: CheckpointPackage, settings: BatchSettings) {
    this.#dataset = dataset;
    this.#detection = detectionOf(source);
    this.#family = trainingOf(source);
    this.#tokenizer = createTokenizer(source.tokenizer, source.source);
    this.#settings = settings;
    this.#mask = maskOf(settings, this.#family);
    for (const { image_id, category_id, bbox, iscrowd } of dataset.annotations)
      if (!iscrowd && bbox[2] > 0 && bbox[3] > 0)
        this.#labels.set(image_id, [...(this.#labels.get(image_id) ?? []), { box: bbox, category: category_id }]);
    const labelled = new Set([...this.#labels.values()].flat().map(({ category }) => category));
    const occurring =
      labelled.size === 0 && !settings.labelled ? new Set(dataset.categories.map(({ id }) => id)) : labelled;
    this.#names = new Map(dataset.categories.filter(({ id }) => occurring.has(id)).map(({ id, name }) => [id, name]));
    if (dataset.images.length === 0 || occurring.size === 0)
      throw new InputError('There is nothing to learn from: the dataset has no images or no boxes.');
  }

  /** The number of whole batches in the images; at least one. */
  get perEpoch(): number {
    return Math.max(1, Math.floor(this.#dataset.images.length / this.#settings.batch));
  }

  /** The inputs of batch `number`, from 0. */
  async get(number: number): Promise<Batch> {
    const { batch, seed } = this.#settings;
    const epoch = Math.floor(number / this.perEpoch);
    const order = this.#orderOf(epoch);
    const first = (number % this.perEpoch) * batch;
    const samples = Array.from({ length: batch }, (_, place) =>
      this.#sample(order[(first + place) % order.length] as CocoImage, randomOf(seed, epoch, first + place)),
    );
    return this.#assemble(await Promise.all(samples));
  }

  #orderOf(epoch: number): CocoImage[] {
    const known = this.#orders.get(epoch);
    if (known) return known;
    const order = shuffle(this.#dataset.images, below(randomOf(this.#settings.seed, epoch, -1)));
    this.#orders.clear();
    this.#orders.set(epoch, order);
    return order;
  }

  async #sample(info: CocoImage, random: () => number): Promise<Sample> {
    const changes = chooseAugmentation(this.#settings.augmentation, random);
    const original = await readImage(this.#dataset.pathOf(info));
    const all = this.#labels.get(info.id) ?? [];
    const { image, labels } = await augment(original, all, changes, this.#settings.canvas);
    const kept = labels.slice(0, this.#settings.targets);
    const { chunk, categories } = this.#prompt(kept, random);
    const found = kept.filter(({ category }) => categories.includes(category));
    return { image, labels: found, chunk, categories, denoising: this.#denoise(found, categories, image, random) };
  }

  #denoise(labels: readonly LabelledBox[], categories: readonly number[], image: Size, random: () => number) {
    const { denoising, targets } = this.#settings;
    const inShares = labels.map(({ box: [x, y, width, height], category }): LabelledBox => {
      return { box: [x / image.width, y / image.height, width / image.width, height / image.height], category };
    });
    const groups = this.#family.denoising.groups(denoising, targets);
    return this.#family.denoising.draw(inShares, categories, { ...denoising, targets, groups }, random);
  }

  /** The phrases of the image's boxes and random others, in random order: half of the time all, so that long prompts are seen too. */
  #prompt(labels: readonly LabelledBox[], random: () => number): { chunk: PromptChunk; categories: number[] } {
    const own = [...new Set(labels.map(({ category }) => category))];
    const others = shuffle(
      [...this.#names.keys()].filter((id) => !own.includes(id)),
      below(random),
    );
    const share = random() < 0.5 ? 1 : random();
    const number = Math.max(own.length === 0 ? 1 : 0, Math.round(share * others.length));
    // What belongs to the image comes first into what fits.
    const fitting = this.#fitting([...own, ...others.slice(0, number)]);
    const categories = shuffle(fitting, below(random));
    const names = categories.map((id) => this.#names.get(id) ?? '');
    const [chunk] = this.#detection.createPrompt(names, this.#tokenizer, this.#settings.textLength).chunks;
    if (!chunk) throw new Error('a prompt has a chunk');
    return { chunk, categories };
  }

  #fitting(categories: readonly number[]): number[] {
    const names = categories.map((id) => this.#names.get(id) ?? '');
    const [chunk] = this.#detection.createPrompt(names, this.#tokenizer, this.#settings.textLength).chunks;
    return categories.slice(0, chunk?.phrases.length ?? 0);
  }

  #assemble(samples: readonly Sample[]): Batch {
    const { batch, canvas, textLength, targets } = this.#settings;
    const rows = targets + 1;
    const pixels = new Uint8Array(batch * canvas.height * canvas.width * 3);
    const sizes: number[] = [];
    const tokens = new BigInt64Array(batch * textLength);
    const tokenMask = new BigInt64Array(batch * textLength);
    const boxes = new Float32Array(batch * rows * 4);
    const positive = new Float32Array(batch * rows * textLength);
    for (const [place, { image, labels, chunk, categories }] of samples.entries()) {
      copyImage(image, pixels, place, canvas);
      sizes.push(image.height, image.width);
      tokens.set(BigInt64Array.from(chunk.tokens, BigInt), place * textLength);
      tokenMask.fill(1n, place * textLength, place * textLength + chunk.tokens.length);
      for (const [row, { box, category }] of labels.entries()) {
        const [x, y, width, height] = box;
        const shares = [
          (x + width / 2) / image.width,
          (y + height / 2) / image.height,
          width / image.width,
          height / image.height,
        ];
        boxes.set(shares, (place * rows + row) * 4);
        const span = chunk.phrases[categories.indexOf(category)];
        const start = (place * rows + row) * textLength;
        if (span) positive.fill(1, start + span.begin, start + span.end);
      }
    }
    const counts = samples.map(({ labels }) => labels.length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    return {
      counts,
      feeds: {
        images: tensor(pixels, [batch, canvas.height, canvas.width, 3]),
        image_sizes: integers(sizes, [batch, 2]),
        [this.#family.inputs.tokens]: integers(tokens, [batch, textLength]),
        [this.#family.inputs.tokenMask]: integers(tokenMask, [batch, textLength]),
        target_boxes: floats(boxes, [batch, rows, 4]),
        target_tokens: floats(positive, [batch, rows, textLength]),
        target_count: floats(Float32Array.of(Math.max(1, total)), []),
        ...this.#denoisingFeeds(samples),
      },
    };
  }

  #denoisingFeeds(samples: readonly Sample[]): Feeds {
    const { batch, textLength, targets, denoising } = this.#settings;
    const { groups, emptyBox, inputs } = this.#family.denoising;
    const extra = 2 * groups(denoising, targets) * targets;
    if (!this.#mask) return {};
    const tokens = new Float32Array(batch * extra * textLength);
    const all = samples.flatMap((sample) => sample.denoising.map((query) => ({ query, sample })));
    for (const [place, { query, sample }] of all.entries()) {
      const span = query && sample.chunk.phrases[sample.categories.indexOf(query.category)];
      if (!span) continue;
      const start = place * textLength;
      tokens.fill(1 / (span.end - span.begin), start + span.begin, start + span.end);
    }
    const boxes = Float32Array.from(all.flatMap(({ query }) => [...(query?.box ?? emptyBox)]));
    const assignment = all.map(({ query }) => query?.target ?? targets);
    const counts = Float32Array.from(all, ({ query }) => (query ? 1 : 0));
    return {
      [inputs.tokens]: floats(tokens, [batch, extra, textLength]),
      [inputs.boxes]: floats(boxes, [batch, extra, 4]),
      [inputs.mask]: this.#mask,
      [DENOISING_INPUTS.assignment]: integers(assignment, [batch, extra]),
      [DENOISING_INPUTS.counts]: floats(counts, [batch, extra]),
    };
  }
}

function maskOf({ denoising, targets }: BatchSettings, family: TrainingFamily): Tensor | undefined {
  const groups = family.denoising.groups(denoising, targets);
  const size = 2 * groups * targets + family.queries;
  return groups === 0 ? undefined : floats(family.denoising.mask(groups, targets), [size, size]);
}

/** Row by row into the upper left corner of its place on the canvas. */
function copyImage({ width, height, pixels: from }: Image, to: Uint8Array, place: number, canvas: Size): void {
  const start = place * canvas.height * canvas.width * 3;
  for (let row = 0; row < height; row++)
    to.set(from.subarray(row * width * 3, (row + 1) * width * 3), start + row * canvas.width * 3);
}
