/** The prompts by which a detector is asked for what is in an image and for phrases that name nothing in it. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { UsageError } from '../base/errors.ts';
import { hashJson } from '../base/hash-json.ts';
import { type CocoCategory, type CocoDataset, type CocoImage, phraseCategories } from '../data/coco.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { shuffle } from '../data/shuffle.ts';
import type { EncodedPrompt } from '../detect/base-detector.ts';
import type { Detector } from '../detect/detector.ts';

/** The absent phrases of each image, in random order: prompts of any length take the first of them. */
export class AbsentPhrases {
  readonly #seed: number;
  readonly #own = new Map<number, Set<number>>();
  readonly #categories: readonly CocoCategory[];
  readonly #pool: readonly CocoCategory[];
  readonly #images: readonly CocoImage[];

  /** @param listed phrases that name nothing in any image; by default the categories that an image does not show */
  constructor(dataset: CocoDataset, listed: readonly string[] | undefined, seed: number) {
    this.#seed = seed;
    this.#images = dataset.images;
    this.#categories = phraseCategories(dataset);
    const known = new Set(this.#categories.map(({ id }) => id));
    for (const { image_id, category_id } of dataset.annotations) {
      if (!known.has(category_id)) continue;
      const own = this.#own.get(image_id);
      if (own) own.add(category_id);
      else this.#own.set(image_id, new Set([category_id]));
    }
    let next = dataset.categories.reduce((highest, { id }) => Math.max(highest, id), 0) + 1;
    this.#pool = listed ? listed.map((name) => ({ id: next++, name })) : this.#categories;
  }

  /** Everything but the seed that the phrases of an image follow from. */
  get key(): string {
    const own = [...this.#own].map(([image, categories]) => [image, ...categories]);
    return hashJson([this.#categories, this.#pool, own]);
  }

  /** Whether an image shows an object of a category. */
  shows(image: number, category: number): boolean {
    return this.#own.get(image)?.has(category) ?? false;
  }

  /** The phrases of what an image shows and of `count` absent ones, or of all if there are fewer, in the order of their ids. */
  categoriesOf(image: number, count: number): CocoCategory[] {
    const own = this.#categories.filter(({ id }) => this.shows(image, id));
    const random = xoroshiro128plus((this.#seed ^ Math.imul(image, 0x9e3779b1)) | 0);
    const others = this.#pool.filter(({ id }) => !this.shows(image, id));
    const absent = shuffle(others, (limit) => uniformInt(random, 0, limit - 1)).slice(0, count);
    return [...own, ...absent].sort((a, b) => a.id - b.id);
  }

  /** The mean number of phrases in the prompts with `count` absent ones. */
  meanLength(count: number): number {
    const absent = (own: number) =>
      Math.min(count, this.#pool === this.#categories ? this.#pool.length - own : this.#pool.length);
    const lengths = this.#images.map(({ id }) => this.#own.get(id)?.size ?? 0).map((own) => own + absent(own));
    return lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  }

  /**
   * The numbers of absent phrases to ask for: none, 1, 2, 4 and so on, and at last as many as fit with the phrases of any image
   * into one prompt, or as there are.
   *
   * @throws UsageError if not even one fits, or if there is none
   */
  async counts(detector: Detector, signal?: AbortSignal): Promise<number[]> {
    const crowded = this.#images
      .map(({ id }) => this.#own.get(id) ?? new Set<number>())
      .sort((a, b) => b.size - a.size)[0];
    const own = this.#categories.filter(({ id }) => crowded?.has(id));
    const longest = this.#pool.filter(({ id }) => !crowded?.has(id)).sort((a, b) => b.name.length - a.name.length);
    const fewest = Math.min(...this.#images.map(({ id }) => this.#own.get(id)?.size ?? 0));
    const available = this.#pool === this.#categories ? this.#pool.length - fewest : this.#pool.length;
    if (available === 0)
      throw new UsageError('Every image shows every category; list phrases that name nothing in them with `absent`.');
    const fits = async (count: number): Promise<boolean> => {
      const phrases = [...own, ...longest.slice(0, count)];
      return (
        phrases.length === 0 || (await detector.encodePrompt(categoryPhrases(phrases), signal)).chunks.length === 1
      );
    };
    if (await fits(available)) return powersUpTo(available);
    let [fitting, tooMany] = [0, available];
    while (tooMany - fitting > 1) {
      const count = Math.floor((fitting + tooMany) / 2);
      if (await fits(count)) fitting = count;
      else tooMany = count;
    }
    if (fitting === 0)
      throw new UsageError('No absent phrase fits beside the phrases of the image with most categories.');
    return powersUpTo(fitting);
  }
}

/** 0, 1, 2, 4 and so on, and the number itself. */
function powersUpTo(most: number): number[] {
  const counts = [0];
  for (let count = 1; count < most; count *= 2) counts.push(count);
  return [...counts, most];
}

/** Encodes prompts; one that follows an equal one is not encoded again. */
export function promptEncoder(detector: Detector, signal: AbortSignal | undefined) {
  let [last, encoded]: [string, EncodedPrompt | undefined] = ['', undefined];
  return async (categories: readonly CocoCategory[]) => {
    if (categories.length === 0) return undefined;
    const key = categories.map(({ id }) => id).join();
    if (key !== last || !encoded) encoded = await detector.encodePrompt(categoryPhrases(categories), signal);
    last = key;
    return { categories, encoded };
  };
}
