/** The step that says how much of what quantization brings and costs is due to each module of a network. */
import { basename } from 'node:path';
import { type OptionSchemas, optional, truth, wholeNumber } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, requireBoxes } from '../data/coco.ts';
import {
  bytesByModule,
  type ModuleContribution,
  NO_MODULE,
  type PrecisionContributions,
  type PrecisionSummary,
  precisionContributions,
  savings,
  secondsByModule,
  spreadSavings,
} from '../evaluate/contribution.ts';
import { type Matches, matchDetections } from '../evaluate/matches.ts';
import type { LoadedModel } from '../models/family.ts';
import { moduleOf } from '../models/model-modules.ts';
import { asPackage, type ReadOptions } from '../models/package/package.ts';
import type { Model } from '../onnx/read.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { DEFAULT_RECIPE } from '../quant/recipe.ts';
import { restrictPlan } from '../quant/restrict-plan.ts';
import { roundsModel } from '../quant/techniques/round-model.ts';
import type { Feeds } from '../runtime/session.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import type { CalibrationOptions } from './calibration-options.ts';
import { measureInTurns } from './in-turns.ts';
import { type JudgedModel, judgingSchemas, openJudgedModel } from './judged-model.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';
import { ScoringRuns } from './scoring-runs.ts';
import type { DatasetSource, ModelSource, RecipeSource } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Options of `contribution`. */
export interface ContributionOptions
  extends WorkOptions,
    ReadOptions,
    Omit<CalibrationOptions, 'pictures'>,
    ThreadOptions,
    OverwriteOptions {
  /** The float model. */
  readonly model: ModelSource;
  /** The labelled images by which accuracy is judged; the first one is what the models are timed on. */
  readonly dataset: DatasetSource;
  /** The recipe that the model is quantized by; `mixed` by default. */
  readonly recipe?: RecipeSource | undefined;
  /** Scores the first images, this many; 100 by default. */
  readonly images?: number | undefined;
  /** Scores a model for each module, of which only this module is quantized. True by default. */
  readonly accuracy?: boolean | undefined;
  /** The number of times that both models are timed, in turns; 5 by default, and none for 0. */
  readonly rounds?: number | undefined;
  /** The JSON file to write. With it, images that are scored are kept in the folder `OUTPUT.partial` and not scored again. */
  readonly output?: string | undefined;
  /** The HTML file to write with tables and charts. */
  readonly report?: string | undefined;
}

/** The defaults of `ContributionOptions`. */
export const CONTRIBUTION_DEFAULTS: Defaults<ContributionOptions, 'images' | 'accuracy' | 'rounds'> & {
  /** The name of the recipe. */
  readonly recipe: string;
} = { recipe: DEFAULT_RECIPE, images: 100, accuracy: true, rounds: 5 };

/** The result of `contribution`. */
export interface ContributionResult {
  /** The model, and the data set by which it was judged. */
  readonly origin: ResultOrigin;
  /** The name of the recipe. */
  readonly recipe: string;
  /** The modules in the order of the network, and last what belongs to no module. */
  readonly modules: readonly ModuleContribution[];
  /** The average precision of the whole; undefined if it was not asked for. */
  readonly averagePrecision?: PrecisionSummary | undefined;
  /** The number of times that both models were timed. */
  readonly rounds: number;
}

const MOST_ROUNDS = 1000;

const { pictures: _, ...judging } = judgingSchemas;
const schemas: OptionSchemas<ContributionOptions> = {
  ...judging,
  accuracy: optional(truth),
  rounds: optional(wholeNumber(0, MOST_ROUNDS)),
};

/**
 * Quantizes a detector, and says how much of the saved bytes, the saved time and the change of average precision is due to each
 * module of the network, such as its image backbone or its decoder. Bytes and seconds of the modules add up to those of the
 * whole, with a row for what belongs to none. Average precision is measured with one module quantized at a time; what the
 * modules do to each other is the difference from the change of the whole.
 *
 * @throws UsageError if dino8 does not know the modules of the model, or if the recipe needs calibration and neither
 * `statistics` nor `calibration` is given
 * @example
 * const { modules } = await contribution({ model: 'tiny.onnx', dataset: 'coco/val2017', statistics: 'statistics.json' });
 */
export async function contribution(options: ContributionOptions): Promise<ContributionResult> {
  return runStep('contribution', schemas, options, async () => {
    const { images = CONTRIBUTION_DEFAULTS.images, rounds = CONTRIBUTION_DEFAULTS.rounds, output, report } = options;
    const { accuracy = CONTRIBUTION_DEFAULTS.accuracy, onProgress, onNotice, signal } = options;
    const judged = await openJudgedModel(options, images, CONTRIBUTION_DEFAULTS.recipe);
    const { source, plan, statistics, dataset } = judged;
    const { modules } = source.family;
    if (modules.length === 0)
      throw new UsageError(
        `The modules of ${source.source} are unknown to dino8; use \`inspect\` and \`sensitivity\`, which go by the names of layers.`,
      );
    if (roundsModel(plan.recipe))
      onNotice?.(
        `The recipe ${plan.recipe.name} rounds weights by the inputs of their layers where it can; here they are rounded to the nearest.`,
      );
    const { model: quantized } = await quantizeModel(source.model, plan, { statistics });
    const scored = accuracy ? await scoreModules(judged, quantized, output, options) : undefined;
    const bytes = savings(bytesByModule(source.model, modules), bytesByModule(quantized, modules));
    const models = rounds > 0 ? [source.model, quantized] : [];
    const feeds = models.length > 0 ? await firstFeeds(judged) : {};
    const time = (model: Model) => secondsByModule(model, feeds, modules);
    const [before = [], after = []] = await measureInTurns(models, rounds, time, { onProgress, signal });
    const seconds = spreadSavings(before, after);
    const result: ContributionResult = {
      origin: originOf('contribution', { subject: source.source, model: source, dataset }),
      recipe: plan.recipe.name,
      modules: [...bytes].map(([name, saving]) => ({
        name,
        bytes: saving,
        seconds: seconds.get(name),
        averagePrecision: scored?.precision.byModule.get(name),
      })),
      averagePrecision: scored?.precision.summary,
      rounds,
    };
    if (report !== undefined) {
      const { renderContribution } = await import('../report/contribution-page.ts');
      await writeAtomic(report, renderContribution(basename(source.source), result));
    }
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    await scored?.runs.remove();
    return result;
  });
}

/** The first image with all phrases. */
async function firstFeeds({ samples, source }: JudgedModel): Promise<Feeds> {
  for await (const { feeds } of samples.samples((place) => place === 0)) return feeds;
  throw new UsageError(`There is no image to run ${source.source} on.`);
}

/** Scores the float model, the quantized one, and for each module a model of which only this module is quantized. */
async function scoreModules(
  { source, plan, statistics, dataset }: JudgedModel,
  quantized: Model,
  output: string | undefined,
  { seed, ...work }: ContributionOptions,
): Promise<{ runs: ScoringRuns; precision: PrecisionContributions }> {
  const { onProgress, onNotice, signal } = work;
  const labelled = labelledImages(source, dataset);
  const runs = await ScoringRuns.open(output, labelled, { onProgress, onNotice, signal });
  const score = async (name: string, what: string, model: Model): Promise<Matches> => {
    const run = { name: name.replaceAll(' ', '-'), label: `Scoring ${what}` };
    return matchDetections(labelled, await runs.score(run, { ...asPackage(source), model }, labelled));
  };
  const float = await score('float', 'FP32', source.model);
  const whole = await score('quantized', 'INT8', quantized);
  const moduleOfEntry = (path: string) => moduleOf(source.family.modules, path) ?? NO_MODULE;
  const planned = new Set(plan.entries.filter(({ mode }) => mode !== 'float').map(({ path }) => moduleOfEntry(path)));
  const alone: { name: string; matches: Matches }[] = [];
  for (const name of planned) {
    const part = restrictPlan(plan, (path) => moduleOfEntry(path) === name);
    const { model } = await quantizeModel(source.model, part, { statistics });
    alone.push({ name, matches: await score(`only ${name}`, name, model) });
  }
  return { runs, precision: await precisionContributions(float, whole, alone, { seed, onProgress, signal }) };
}

/** @throws UsageError if there are no labelled images; InputError if they have no boxes */
function labelledImages({ source }: LoadedModel, dataset: CocoDataset | undefined): CocoDataset {
  if (!dataset) throw new UsageError(`${source} is no detector of dino8; its average precision cannot be measured.`);
  requireBoxes(dataset);
  return dataset;
}
