/** What each part of a model loses in 8 bits: one part at a time is quantized, and the rest left as it is. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Journal } from '../base/json-lines.ts';
import type { WorkOptions } from '../base/progress.ts';
import { everyImage } from '../data/calibration-plan.ts';
import type { CocoDataset } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import type { Recipe, Rule } from '../quant/recipe.ts';
import { compareModels, damage } from './compare.ts';
import { scoreDataset } from './score-dataset.ts';

/** Parts that are quantized together: one layer, or what is between two numbers of a module path. */
export type Granularity = 'layer' | 'block';

const partSchema = z.object({
  name: z.string(),
  averagePrecision: z.number(),
  overlap: z.number(),
  scoreError: z.number(),
});

export interface PartSensitivity extends z.output<typeof partSchema> {
  /** Points of AP lost against float. */
  readonly drop: number;
}

export interface Sensitivity {
  readonly float: number;
  /** The most sensitive first, by how far boxes and scores of the same queries moved. */
  readonly parts: readonly PartSensitivity[];
}

export interface SensitivityOptions extends WorkOptions {
  readonly statistics: Statistics;
  readonly granularity: Granularity;
  /** Where results are kept, by what they depend on: a line each. */
  readonly cache?: string | undefined;
}

/** The part of a module path up to its last number: `model.encoder.layers.0` of `model.encoder.layers.0.fc1`. */
export function blockOf(path: string): string {
  const segments = path.split('.');
  const last = segments.findLastIndex((segment) => /^\d+$/.test(segment));
  return segments.slice(0, last > 0 ? last + 1 : 2).join('.');
}

/** The parts of a model that a plan quantizes. */
export function partsOf({ entries }: QuantizationPlan, granularity: Granularity): string[] {
  const paths = entries.filter(({ mode }) => mode !== 'float').map(({ path }) => path);
  return [...new Set(granularity === 'layer' ? paths : paths.map(blockOf))];
}

/** The recipe of a plan with a rule at its end for everything that becomes float: the modules of which `keep` is false. */
export function restrict({ recipe, entries }: QuantizationPlan, keep: (path: string) => boolean): Recipe {
  const dropped = entries.filter(({ path, mode }) => mode !== 'float' && !keep(path));
  const layers = dropped.filter(({ operands }) => operands === 'weights').map(({ path }) => path);
  const others = dropped.filter(({ operands }) => operands === 'activations');
  const operators = [...new Set(others.map(({ operator }) => operator))];
  const float = (match: string[], inputs: Rule['inputs'], named?: Rule['operators']): Rule[] =>
    match.length > 0 ? [{ match, inputs, treatment: 'float', operators: named }] : [];
  return {
    ...recipe,
    rules: [
      ...recipe.rules,
      ...float([...new Set(layers)], 'weights'),
      ...operators.flatMap((operator) => {
        const names = others.filter((entry) => entry.operator === operator).map(({ node }) => node.name);
        return float(names, 'activations', [operator]);
      }),
    ],
  };
}

/** @param dataset what parts are judged on, by AP and by matched boxes */
export async function measureSensitivity(
  source: ModelPackage,
  recipe: Recipe,
  dataset: CocoDataset,
  { statistics, granularity, cache, onProgress, signal }: SensitivityOptions,
): Promise<Sensitivity> {
  const plan = planQuantization(source.model, recipe);
  const parts = partsOf(plan, granularity);
  const kept = await openCache(cache);
  const about = hash([modelHash(source.model), dataset.images.map(({ file_name }) => file_name), rangesOf(statistics)]);
  const items = everyImage(dataset);
  const measure = async (name: string, some: Recipe | undefined): Promise<z.output<typeof partSchema>> => {
    const key = hash([about, some?.rules ?? 'float', some?.techniques ?? []]);
    const known = kept.results.get(key);
    if (known) return known;
    const { model } = some ? await quantizeModel(source.model, some, { statistics }) : source;
    await using detector = await Detector.create({ ...source, model });
    const { figures } = await scoreDataset(detector, dataset, { signal });
    const boxes = some ? await compareModels(source, model, items, { boxesOnly: true, signal }) : undefined;
    const { overlap = 1, scoreError = 0 } = boxes ?? {};
    const result = { name, averagePrecision: figures.AP, overlap, scoreError };
    await kept.add(key, result);
    return result;
  };
  const { averagePrecision: float } = await measure('float', undefined);
  const results: PartSensitivity[] = [];
  for (const [done, part] of parts.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ label: 'Sensitivity', done, total: parts.length });
    const isInside = (path: string) => (granularity === 'layer' ? path === part : blockOf(path) === part);
    const result = await measure(part, restrict(plan, isInside));
    results.push({ ...result, drop: 100 * (float - result.averagePrecision) });
  }
  onProgress?.({ label: 'Sensitivity', done: parts.length, total: parts.length });
  return { float, parts: results.toSorted((a, b) => damage(b) - damage(a)) };
}

const hash = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

const rangesOf = (statistics: Statistics) =>
  [...statistics].map(([name, { min, max, images, histogram }]) => [
    name,
    min,
    max,
    images,
    histogram.exponent,
    createHash('sha256').update(histogram.counts).digest('hex'),
  ]);

const entrySchema = z.object({ key: z.string(), result: partSchema });
type Result = z.output<typeof partSchema>;

interface Cache {
  readonly results: ReadonlyMap<string, Result>;
  readonly add: (key: string, result: Result) => Promise<void>;
}

/** The head of the cache is empty, since each result has a key of its own: several runs may share one cache. */
async function openCache(path: string | undefined): Promise<Cache> {
  if (path === undefined) return { results: new Map(), add: async () => undefined };
  const journal = await Journal.open(path, { kind: 'sensitivity', key: {}, schema: entrySchema });
  return {
    results: new Map(journal.entries.map(({ key, result }) => [key, result])),
    add: (key, result) => journal.append({ key, result }),
  };
}
