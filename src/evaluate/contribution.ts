/**
 * The share of each module of a network in what quantization brings and what it costs: bytes, seconds and average precision.
 * Every table adds up: what belongs to no module is a row of its own.
 */
import type { Estimate, Spread } from '../base/statistics.ts';
import { spreadOf } from '../base/statistics.ts';
import { type ModelModule, moduleOf } from '../models/model-modules.ts';
import type { Model } from '../onnx/read.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { tensorBytes } from '../onnx/tensor.ts';
import { nodesOf } from '../onnx/traverse.ts';
import { encodeModel, modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type ProfiledNode, profiledPath, profileRun } from '../runtime/profile.ts';
import type { Feeds } from '../runtime/session.ts';
import { type BootstrapOptions, bootstrapNumbers, hasEnoughImages } from './bootstrap.ts';
import type { Matches } from './matches.ts';
import { scoreMatches } from './score-matches.ts';

/** The name of what belongs to no module. */
export const NO_MODULE = 'no module';

/** Bytes or seconds of a module in the float model and in the quantized one. */
export interface Saving<T> {
  /** In the float model. */
  readonly float: T;
  /** In the quantized model. */
  readonly quantized: T;
  /** The difference: what quantization saves here; negative where it costs. */
  readonly saved: T;
  /** The part of all that is saved, where all modules together are 1; undefined if nothing is saved in all. */
  readonly share: number | undefined;
}

/** The average precision that a model loses when only one module of it is quantized. */
export interface PrecisionContribution {
  /** The change of average precision against the float model, from −1 to 1; negative is a loss. */
  readonly change: number;
  /** It with its 95 % confidence interval; undefined with too few images. */
  readonly interval?: Estimate | undefined;
  /** The part of the change of the whole model; undefined if that is not distinguishable from chance. */
  readonly share?: number | undefined;
}

/** The share of one module. */
export interface ModuleContribution {
  /** The name of the module. */
  readonly name: string;
  /** The bytes of its weights in the file. What belongs to no module is the graph, its metadata and small constants. */
  readonly bytes: Saving<number>;
  /** The seconds of a run, over rounds; undefined if the models were not run. */
  readonly seconds?: Saving<Spread> | undefined;
  /** What average precision changes when only this module is quantized; undefined without labelled images. */
  readonly averagePrecision?: PrecisionContribution | undefined;
}

/** The average precision of the models, and the part of its change that no module makes alone. */
export interface PrecisionSummary {
  /** The number of images that were scored. */
  readonly images: number;
  /** Average precision of the float model, from 0 to 1. */
  readonly float: number;
  /** Average precision of the model that is quantized as a whole. */
  readonly quantized: number;
  /** The change of the model that is quantized as a whole. */
  readonly whole: PrecisionContribution;
  /** The change of the whole without the changes of the modules: what they do to each other. */
  readonly together: PrecisionContribution;
}

/** The bytes of the weights of each module in the file of a model. All rows together are the size of the file. */
export function bytesByModule(model: Model, modules: readonly ModelModule[]): ReadonlyMap<string, number> {
  const bytes = emptyRows(modules);
  const userOf = new Map<string, string>();
  for (const node of nodesOf(model.graph))
    for (const name of node.input) if (!userOf.has(name)) userOf.set(name, modulePath(node));
  let rest = encodeModel(model).reduce((sum, piece) => sum + piece.length, 0);
  for (const tensor of model.graph.initializer) {
    const path = userOf.get(tensor.name);
    const module = path === undefined ? undefined : moduleOf(modules, path);
    if (module === undefined) continue;
    const { length } = tensorBytes(tensor);
    addTo(bytes, module, length);
    rest -= length;
  }
  addTo(bytes, NO_MODULE, rest);
  return bytes;
}

/** The number of runs of a profile. */
const RUNS = 3;

/**
 * The seconds of a run of a model that each module takes, by ONNX Runtime's profiler. Nodes that ONNX Runtime adds, and those of
 * inlined functions, belong to no module.
 *
 * @throws RuntimeError if the model does not run
 */
export async function secondsByModule(
  model: Model,
  feeds: Feeds,
  modules: readonly ModelModule[],
): Promise<ReadonlyMap<string, number>> {
  return sumByModule(await profileRun(modelBytes(model), kernelOptions(), feeds, RUNS), RUNS, modules);
}

/** The seconds of each module in a profile of `runs` runs. */
export function sumByModule(
  nodes: readonly ProfiledNode[],
  runs: number,
  modules: readonly ModelModule[],
): ReadonlyMap<string, number> {
  const seconds = emptyRows(modules);
  for (const node of nodes) {
    const path = profiledPath(node);
    const module = path === undefined ? undefined : moduleOf(modules, path);
    addTo(seconds, module ?? NO_MODULE, node.seconds / runs);
  }
  return seconds;
}

const emptyRows = (modules: readonly ModelModule[]) =>
  new Map([...modules.map(({ name }) => name), NO_MODULE].map((name) => [name, 0]));

function addTo(rows: Map<string, number>, name: string, value: number): void {
  rows.set(name, (rows.get(name) ?? 0) + value);
}

/** What each module saves of one number, such as bytes. */
export function savings(
  float: ReadonlyMap<string, number>,
  quantized: ReadonlyMap<string, number>,
): ReadonlyMap<string, Saving<number>> {
  const saved = [...float].map(([name, value]) => [name, value - (quantized.get(name) ?? 0)] as const);
  const total = saved.reduce((sum, [, value]) => sum + value, 0);
  return new Map(
    saved.map(([name, value]) => [
      name,
      {
        float: float.get(name) ?? 0,
        quantized: quantized.get(name) ?? 0,
        saved: value,
        share: total === 0 ? undefined : value / total,
      },
    ]),
  );
}

/** What each module saves of a number that was measured in rounds, both models in each. Shares are of the medians. */
export function spreadSavings(
  float: readonly ReadonlyMap<string, number>[],
  quantized: readonly ReadonlyMap<string, number>[],
): ReadonlyMap<string, Saving<Spread>> {
  const names = [...(float[0]?.keys() ?? [])];
  const spreads = names.map((name) => {
    const [before, after] = [float, quantized].map((rounds) => rounds.map((round) => round.get(name) ?? 0));
    const saved = (before ?? []).map((seconds, round) => seconds - (after?.[round] ?? 0));
    return { name, float: spreadOf(before ?? []), quantized: spreadOf(after ?? []), saved: spreadOf(saved) };
  });
  const total = spreads.reduce((sum, { saved }) => sum + saved.median, 0);
  return new Map(
    spreads.map(({ name, ...spread }) => [
      name,
      { ...spread, share: total === 0 ? undefined : spread.saved.median / total },
    ]),
  );
}

/** The detections of a model in which some modules are quantized. */
export interface ModuleMatches {
  /** The module that alone is quantized. */
  readonly name: string;
  /** The matches of its detections. */
  readonly matches: Matches;
}

/** The change of average precision by each module, and by the whole. */
export interface PrecisionContributions {
  /** The changes by the names of the modules. */
  readonly byModule: ReadonlyMap<string, PrecisionContribution>;
  readonly summary: PrecisionSummary;
}

/**
 * The change of average precision by each module that is quantized alone, and the rest of the change of the whole: an average
 * precision is no sum, so that modules which are harmless alone may do harm together. The intervals are of the same draws of the
 * images for all of them.
 */
export async function precisionContributions(
  float: Matches,
  quantized: Matches,
  modules: readonly ModuleMatches[],
  options: BootstrapOptions = {},
): Promise<PrecisionContributions> {
  const detectors = [float, quantized, ...modules.map(({ matches }) => matches)];
  const precisions = detectors.map((matches) => scoreMatches(matches).figures.AP);
  const changesOf = (values: readonly number[]): number[] => {
    const [reference = 0, whole = 0, ...alone] = values;
    const changes = alone.map((value) => value - reference);
    return [whole - reference, changes.reduce((rest, change) => rest - change, whole - reference), ...changes];
  };
  const estimates = hasEnoughImages(float)
    ? await bootstrapNumbers(
        detectors,
        (results) => changesOf(results.map(({ figures: { AP } }) => (AP < 0 ? Number.NaN : AP))),
        options,
      )
    : [];
  const changes = changesOf(precisions);
  const [whole = 0] = changes;
  const isCertain = estimates[0] !== undefined && (estimates[0].low > 0 || estimates[0].high < 0);
  const contribution = (index: number): PrecisionContribution => {
    const change = changes[index] ?? 0;
    return { change, interval: estimates[index], share: isCertain ? change / whole : undefined };
  };
  return {
    byModule: new Map(modules.map(({ name }, index) => [name, contribution(index + 2)])),
    summary: {
      images: float.images.length,
      float: precisions[0] ?? 0,
      quantized: precisions[1] ?? 0,
      whole: contribution(0),
      together: contribution(1),
    },
  };
}
