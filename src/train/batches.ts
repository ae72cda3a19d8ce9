/**
 * The batches of a training. Everything is drawn from the seed and the position of an image in the order, so that a training
 * that continues after an interruption sees the same batches as one that was not interrupted.
 */
import { InputError } from '../base/errors.ts';
import { type CocoDataset, type CocoImage, phraseCategories } from '../data/coco.ts';
import { readImage } from '../data/image.ts';
import type { LabelledBox } from '../data/labelled-box.ts';
import { shuffle } from '../data/shuffle.ts';
import type { Size } from '../data/size.ts';
import type { DetectionFamily, PromptChunk } from '../models/detection-family.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { TrainingFamily } from '../models/training-family.ts';
import type { Tensor } from '../runtime/tensor.ts';
import { assembleBatch, type Batch, type BatchSize, denoisingMask, type TrainingSample } from './assemble-batch.ts';
import { type AugmentationStrength, augment, chooseAugmentation, type Placement } from './augment.ts';
import { below, seededRandom } from './seeded-random.ts';

/** Settings of `Batches`. Boxes beyond the number of targets of an image are left out. */
export interface BatchSettings extends BatchSize, Placement {
  /** The seed of the order of images, of augmentation and of denoising. */
  readonly seed: number;
  /** How strongly images are changed. */
  readonly augmentation: AugmentationStrength;
  /** Whether labels are needed: without them, a training from the teacher alone uses all categories of the dataset. */
  readonly labelled: boolean;
}

/** The parts of a model family that batches are made by. */
export interface BatchFamily {
  /** How prompts are made. */
  readonly detection: DetectionFamily;
  /** Inputs, heads and denoising queries. */
  readonly training: TrainingFamily;
}

/**
 * Draws batches of images with prompts from a dataset.
 * @example
 * const family = { detection: detectionOf(checkpoint), training: trainingOf(checkpoint) };
 * const { feeds } = await new Batches(dataset, tokenizer, family, batchSettings).get(0);
 */
export class Batches {
  readonly #dataset: CocoDataset;
  readonly #tokenizer: Tokenizer;
  readonly #family: BatchFamily;
  readonly #settings: BatchSettings;
  /** The boxes of each image, by its id. */
  readonly #labels = new Map<number, LabelledBox[]>();
  /**
   * The names of the categories that have boxes, by id. Categories without any box are left out of prompts: they may be
   * unlabelled rather than absent.
   */
  readonly #names: Map<number, string>;
  /** The order of the images in the epoch that was asked for last. */
  #order: { readonly epoch: number; readonly images: readonly CocoImage[] } | undefined;
  /** The mask of the denoising queries, which is the same for every batch. */
  readonly #mask: Tensor | undefined;

  /** @throws InputError if the dataset has no images, or no boxes although they are needed */
  constructor(dataset: CocoDataset, tokenizer: Tokenizer, family: BatchFamily, settings: BatchSettings) {
    this.#dataset = dataset;
    this.#tokenizer = tokenizer;
    this.#family = family;
    this.#settings = settings;
    this.#mask = denoisingMask(settings, family.training);
    const phrases = phraseCategories(dataset);
    const known = new Set(phrases.map(({ id }) => id));
    for (const { image_id, category_id, bbox, iscrowd } of dataset.annotations)
      if (!iscrowd && bbox[2] > 0 && bbox[3] > 0 && known.has(category_id))
        this.#labels.set(image_id, [...(this.#labels.get(image_id) ?? []), { box: bbox, category: category_id }]);
    const labelled = new Set([...this.#labels.values()].flat().map(({ category }) => category));
    const isOnlyTaught = labelled.size === 0 && !settings.labelled;
    const occurring = phrases.filter(({ id }) => isOnlyTaught || labelled.has(id));
    this.#names = new Map(occurring.map(({ id, name }) => [id, name]));
    if (dataset.images.length === 0 || occurring.length === 0)
      throw new InputError('There is nothing to learn from: the dataset has no images or no boxes.');
  }

  /** The number of whole batches in the images; at least one. */
  get perEpoch(): number {
    return Math.max(1, Math.floor(this.#dataset.images.length / this.#settings.batch));
  }

  /**
   * Reads and augments the images of a batch, and draws their prompts.
   * @param number of the batch in the whole training, from 0
   * @throws InputError if an image cannot be read
   */
  async get(number: number): Promise<Batch> {
    const { batch, seed } = this.#settings;
    const epoch = Math.floor(number / this.perEpoch);
    const order = this.#orderOf(epoch);
    const first = (number % this.perEpoch) * batch;
    const samples = await Promise.all(
      Array.from({ length: batch }, (_, place) =>
        // The remainder is an index of the order.
        this.#sample(order[(first + place) % order.length] as CocoImage, seededRandom(seed, epoch, first + place)),
      ),
    );
    const assembled = assembleBatch(samples, this.#settings, this.#family.training);
    if (!this.#mask) return assembled;
    return { ...assembled, feeds: { ...assembled.feeds, [this.#family.training.denoising.inputs.mask]: this.#mask } };
  }

  #orderOf(epoch: number): readonly CocoImage[] {
    if (this.#order?.epoch !== epoch) {
      const images = shuffle(this.#dataset.images, below(seededRandom(this.#settings.seed, epoch, -1)));
      this.#order = { epoch, images };
    }
    return this.#order.images;
  }

  async #sample(info: CocoImage, random: () => number): Promise<TrainingSample> {
    const changes = chooseAugmentation(this.#settings.augmentation, random);
    const original = await readImage(this.#dataset.pathOf(info), {
      ignoreOrientation: this.#dataset.ignoreOrientation,
    });
    const all = this.#labels.get(info.id) ?? [];
    const { image, labels } = await augment(original, all, changes, this.#settings);
    const kept = labels.slice(0, this.#settings.targets);
    const { chunk, categories } = this.#drawPrompt(kept, info, random);
    const found = kept.filter(({ category }) => categories.includes(category));
    const denoising = this.#drawDenoising(found, categories, image, random);
    return { image, labels: found, chunk, categories, denoising };
  }

  #drawDenoising(labels: readonly LabelledBox[], categories: readonly number[], image: Size, random: () => number) {
    const { denoising: settings, targets } = this.#settings;
    const { denoising } = this.#family.training;
    const inShares = labels.map(({ box: [x, y, width, height], category }): LabelledBox => {
      return { box: [x / image.width, y / image.height, width / image.width, height / image.height], category };
    });
    return denoising.draw(
      inShares,
      categories,
      { ...settings, targets, groups: denoising.groups(settings, targets) },
      random,
    );
  }

  /**
   * The phrases of the boxes of an image and random others, in random order. Half of the prompts have all phrases, so that
   * long prompts are trained too.
   */
  #drawPrompt(
    labels: readonly LabelledBox[],
    { neg_category_ids: absent }: CocoImage,
    random: () => number,
  ): { chunk: PromptChunk; categories: number[] } {
    const own = [...new Set(labels.map(({ category }) => category))];
    // In a federated data set only these are known to be absent. Without any, one must be taken if the image shows nothing.
    const known = [...this.#names.keys()].filter((id) => !absent || absent.includes(id));
    const possible = own.length === 0 && known.length === 0 ? [...this.#names.keys()] : known;
    const others = shuffle(
      possible.filter((id) => !own.includes(id)),
      below(random),
    );
    const fraction = random() < 0.5 ? 1 : random();
    const number = Math.max(own.length === 0 ? 1 : 0, Math.round(fraction * others.length));
    // The phrases of the image come first, so that those that do not fit are others.
    const asked = [...own, ...others.slice(0, number)];
    const fitting = asked.slice(0, this.#firstChunk(asked).phrases.length);
    const categories = shuffle(fitting, below(random));
    return { chunk: this.#firstChunk(categories), categories };
  }

  #firstChunk(categories: readonly number[]): PromptChunk {
    const names = categories.map((id) => ({ exact: this.#names.get(id) ?? '', called: 'category' }));
    const { detection } = this.#family;
    const { chunks } = detection.createPrompt(names, this.#tokenizer, this.#settings.textLength);
    const [chunk] = chunks;
    if (!chunk) throw new Error('a prompt has at least one chunk');
    return chunk;
  }
}
