/** Sensitivity analysis: one part of a model at a time is quantized while the rest stays float, and its loss is measured. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { checkValue, objectWith } from '../base/check-options.ts';
import { hashJson } from '../base/hash-json.ts';
import { Journal } from '../base/json-lines.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { Estimate } from '../base/statistics.ts';
import { checkLoadedArgument, type LoadedModel, type OutputFigure } from '../models/family.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import type { QuantizationPlan } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { restrictPlan } from '../quant/restrict-plan.ts';
import type { AccuracyMeasure } from './accuracy.ts';
import { compareModels } from './compare.ts';

/** The parts that are quantized together: single layers, or blocks, which end at the last number of a module path. */
export const GRANULARITIES = ['layer', 'block'] as const;
/** The parts that are quantized together: single layers, or blocks. */
export type Granularity = (typeof GRANULARITIES)[number];

const estimateSchema = z.object({ value: z.number(), low: z.number(), high: z.number() });

const resultSchema = z.object({
  figures: z.record(z.string(), z.number()),
  loss: z.number(),
  averagePrecision: z.number().optional(),
  interval: estimateSchema.optional(),
  change: estimateSchema.optional(),
});

/** The measurements of a model in which one part is quantized. */
type Result = z.output<typeof resultSchema>;

/** The loss of a model in which only one part is quantized. */
export interface PartSensitivity {
  /** The module path of the part. */
  readonly name: string;
  /** The mean difference of the outputs from the float model's, by the keys of the family's figures. */
  readonly figures: Readonly<Record<string, number>>;
  /** The difference of the outputs as one number: 0 if nothing changed. */
  readonly loss: number;
  /** Average precision from 0 to 1; undefined without labelled data. */
  readonly averagePrecision?: number | undefined;
  /** The points of average precision lost against the float model; undefined without labelled data. */
  readonly drop?: number | undefined;
  /** Average precision with its 95 % confidence interval; undefined without labelled data, or with too few images. */
  readonly interval?: Estimate | undefined;
  /** The change of average precision against the float model, with its interval. */
  readonly change?: Estimate | undefined;
}

/** The result of `measureSensitivity`. */
export interface Sensitivity {
  /** Average precision of the float model, from 0 to 1; undefined without labelled data. */
  readonly float?: number | undefined;
  /** It with its 95 % confidence interval. */
  readonly floatInterval?: Estimate | undefined;
  /** The part with the largest `loss` first. */
  readonly parts: readonly PartSensitivity[];
  /** The meaning of `figures`, in the order in which tables show them. */
  readonly outputFigures: readonly OutputFigure[];
}

/** Options of `measureSensitivity`. */
export interface SensitivityOptions extends WorkOptions {
  /** The statistics that the plan needs. */
  readonly statistics: Statistics;
  /** The parts that are quantized one at a time. */
  readonly granularity: Granularity;
  /** Measures the accuracy of each variant too; by default only outputs are compared. */
  readonly accuracy?: AccuracyMeasure | undefined;
  /** A file of finished measurements: those in it are not repeated, and each new one is added. */
  readonly cache?: string | undefined;
}

/** The block of a module: its path up to the last number, such as `model.encoder.layers.0` for `model.encoder.layers.0.fc1`. */
export function blockOf(path: string): string {
  const segments = path.split('.');
  const last = segments.findLastIndex((segment) => /^\d+$/.test(segment));
  return segments.slice(0, last > 0 ? last + 1 : 2).join('.');
}

/** The names of the parts that a plan quantizes. */
export function partsOf({ entries }: QuantizationPlan, granularity: Granularity): string[] {
  const paths = entries.filter(({ mode }) => mode !== 'float').map(({ path }) => path);
  return [...new Set(granularity === 'layer' ? paths : paths.map(blockOf))];
}

const planSchema = objectWith('what `planQuantization` returned', 'entries', 'recipe');
const samplesSchema = objectWith('samples', 'samples', 'total', 'key');

/**
 * Quantizes one part of a model at a time, and measures how far the outputs move from those of the float model.
 * @param plan a plan of the model, which says how each part is quantized
 * @param samples the inputs on which outputs are compared
 * @throws RuntimeError if a variant does not run, and InputError if statistics are missing or the cache is damaged
 * @example
 * const plan = planQuantization(source.model, recipe);
 * const samples = calibrationSamples(source, everyImage(dataset));
 * const { parts } = await measureSensitivity(source, plan, samples, { statistics, granularity: 'block' });
 */
export async function measureSensitivity(
  source: LoadedModel,
  plan: QuantizationPlan,
  samples: SampleSource,
  options: SensitivityOptions,
): Promise<Sensitivity> {
  checkLoadedArgument(source);
  checkValue('The plan', planSchema, plan);
  checkValue('The samples', samplesSchema, samples);
  checkValue(
    'The options',
    objectWith('an object with statistics and granularity', 'statistics', 'granularity'),
    options,
  );
  const { statistics, granularity, accuracy, cache, onProgress, signal } = options;
  const resolved = resolveRanges(plan, { statistics });
  const parts = partsOf(resolved, granularity);
  await using kept = await openCache(cache);
  const about = hashJson([
    'with intervals',
    modelHash(source.model),
    samples.key,
    accuracy?.key ?? null,
    rangesOf(statistics),
  ]);
  const known = async (about: unknown, measure: () => Promise<Result>): Promise<Result> => {
    const key = hashJson(about);
    const found = kept.results.get(key);
    if (found) return found;
    const result = await measure();
    await kept.add(key, result);
    return result;
  };
  const measureVariant = (variant: QuantizationPlan) => {
    const { rules, techniques, text } = variant.recipe;
    return known([about, rules, techniques, text ?? null], async () => {
      const { model } = await quantizeModel(source.model, variant);
      const accurate = await accuracy?.measure(model, { signal });
      const { figures, loss } = await compareModels(source, model, samples, { outputsOnly: true, signal });
      return { figures, loss, ...accurate };
    });
  };
  const float = accuracy
    ? await known([about, 'float'], async () => {
        return { figures: {}, loss: 0, ...(await accuracy.measure(source.model, { signal })) };
      })
    : undefined;
  const results: PartSensitivity[] = [];
  for (const [done, name] of parts.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ label: 'Sensitivity', done, total: parts.length });
    const isInside = (path: string) => (granularity === 'layer' ? path === name : blockOf(path) === name);
    const result = await measureVariant(restrictPlan(resolved, isInside));
    results.push({ name, ...result, drop: dropOf(float?.averagePrecision, result.averagePrecision) });
  }
  onProgress?.({ label: 'Sensitivity', done: parts.length, total: parts.length });
  return {
    float: float?.averagePrecision,
    floatInterval: float?.interval,
    parts: results.toSorted((a, b) => b.loss - a.loss),
    outputFigures: source.family.outputFigures,
  };
}

/** The points of average precision between two models, if both are known. */
const dropOf = (float: number | undefined, quantized: number | undefined): number | undefined =>
  float === undefined || quantized === undefined ? undefined : 100 * (float - quantized);

const rangesOf = (statistics: Statistics) =>
  [...statistics].map(([name, { min, max, images, histogram }]) => [
    name,
    min,
    max,
    images,
    histogram.exponent,
    createHash('sha256').update(histogram.counts).digest('hex'),
  ]);

const entrySchema = z.object({ key: z.string(), result: resultSchema });

interface Cache extends AsyncDisposable {
  readonly results: ReadonlyMap<string, Result>;
  readonly add: (key: string, result: Result) => Promise<void>;
}

/** The head of the cache is empty, since each result has a key of its own: several runs may share one cache. */
async function openCache(path: string | undefined): Promise<Cache> {
  if (path === undefined)
    return { results: new Map(), add: async () => undefined, [Symbol.asyncDispose]: async () => undefined };
  const journal = await Journal.open(path, { kind: 'sensitivity', key: {}, schema: entrySchema });
  return {
    results: new Map(journal.entries.map(({ key, result }) => [key, result])),
    add: (key, result) => journal.append({ key, result }),
    [Symbol.asyncDispose]: () => journal.close(),
  };
}
