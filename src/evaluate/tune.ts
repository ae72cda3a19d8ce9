/**
 * The fastest mixture of precisions that loses no more than allowed: the most sensitive parts stay float, as many as it
 * takes. How many is found by halving; every mixture on the way is measured in AP and in time, which is the front.
 */
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { median } from '../base/statistics.ts';
import type { CocoDataset } from '../data/coco.ts';
import { readImage } from '../data/image.ts';
import { Detector } from '../detect/detector.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { planQuantization } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import type { Recipe } from '../quant/recipe.ts';
import { scoreDataset } from './score-dataset.ts';
import { blockOf, type Granularity, restrict, type Sensitivity } from './sensitivity.ts';

/** One mixture. */
export interface FrontPoint {
  /** How many of the most sensitive parts are float. */
  readonly float: number;
  readonly averagePrecision: number;
  /** Points of AP against float; negative if it is better. */
  readonly drop: number;
  readonly seconds: number;
}

export interface Tuned {
  readonly recipe: Recipe;
  readonly chosen: FrontPoint;
  /** All that were measured, fewest float parts first; the last one is all float. */
  readonly front: readonly FrontPoint[];
}

export interface TuneOptions extends WorkOptions {
  readonly statistics: Statistics;
  readonly granularity: Granularity;
  /** Points of AP that may be lost. */
  readonly mostDrop: number;
  readonly runs?: number;
}

/**
 * Every mixture is timed in turns with the float model, and its latency told as that of the float model times their ratio:
 * a machine that drifts does not favour one.
 * @throws UsageError if there is nothing to choose from
 */
export async function tune(
  source: ModelPackage,
  recipe: Recipe,
  dataset: CocoDataset,
  sensitivity: Sensitivity,
  { statistics, granularity, mostDrop, runs = 30, onProgress, signal }: TuneOptions,
): Promise<Tuned> {
  const { parts } = sensitivity;
  if (parts.length === 0)
    throw new UsageError(`The recipe ${recipe.name} quantizes nothing; there is nothing to tune.`);
  const plan = planQuantization(source.model, recipe);
  const mixture = (float: number): Recipe => {
    const left = new Set(parts.slice(0, float).map(({ name }) => name));
    return restrict(plan, (path) => !left.has(granularity === 'layer' ? path : blockOf(path)));
  };
  const measured = new Map<number, FrontPoint>();
  await using reference = await Detector.create(source);
  const timer = await prepareTimer(reference, dataset, runs);
  const steps = Math.ceil(Math.log2(parts.length + 1)) + 2;
  const measure = async (float: number): Promise<FrontPoint> => {
    const known = measured.get(float);
    if (known) return known;
    signal?.throwIfAborted();
    onProgress?.({ label: 'Tuning', done: measured.size, total: Math.max(steps, measured.size + 1) });
    const { model } = await quantizeModel(source.model, mixture(float), { statistics });
    await using detector = await Detector.create({ ...source, model });
    const { figures } = await scoreDataset(detector, dataset, { signal });
    const point = {
      float,
      averagePrecision: figures.AP,
      drop: 100 * (sensitivity.float - figures.AP),
      seconds: await timer(detector),
    };
    measured.set(float, point);
    return point;
  };
  let [least, most] = [0, parts.length];
  await measure(most);
  if ((await measure(least)).drop > mostDrop)
    while (most - least > 1) {
      const middle = Math.floor((least + most) / 2);
      if ((await measure(middle)).drop > mostDrop) least = middle;
      else most = middle;
    }
  else most = 0;
  const front = [...measured.values()].toSorted((a, b) => a.float - b.float);
  onProgress?.({ label: 'Tuning', done: measured.size, total: measured.size });
  // Of all that hold their accuracy, the fastest: more float parts are not always slower.
  const sound = front.filter(({ drop }) => drop <= mostDrop);
  const chosen = sound.toSorted((a, b) => a.seconds - b.seconds)[0] ?? (await measure(most));
  return { recipe: mixture(chosen.float), chosen, front };
}

async function prepareTimer(
  reference: Detector,
  dataset: CocoDataset,
  runs: number,
): Promise<(detector: Detector) => Promise<number>> {
  const [image] = dataset.images;
  if (!image) throw new UsageError('The dataset has no images; there is nothing to measure.');
  const phrases = dataset.categories.map(({ name }) => name);
  const prompt = await reference.encodePrompt(phrases);
  const prepared = await reference.prepare(await readImage(dataset.pathOf(image)));
  const time = () => reference.time(prepared, prompt);
  const warm = [];
  for (let run = 0; run < runs; run++) warm.push(await time());
  const whole = median(warm);
  return async (detector) => {
    const own = await detector.encodePrompt(phrases);
    await detector.time(prepared, own);
    const ratios: number[] = [];
    for (let run = 0; run < runs; run++) {
      const seconds = await time();
      ratios.push((await detector.time(prepared, own)) / seconds);
    }
    return whole * median(ratios);
  };
}
