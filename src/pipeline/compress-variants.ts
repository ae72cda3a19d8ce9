/** The phases of `compress` that make the models: convert, calibrate, quantize, train. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../base/errors.ts';
import { hashFiles } from '../base/hash-files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { JournalKey } from '../base/json-lines.ts';
import { packageVersion } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type ActivationRanges, worstRanges } from '../evaluate/activation-ranges.ts';
import { type ModelPackage, readPackage, writePackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Model } from '../onnx/read.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { readStatistics, writeStatistics } from '../quant/observe/statistics-file.ts';
import { planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import { planSummarySchema, readPlanSummary } from '../quant/plan-summary.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { withoutPreparation } from '../quant/techniques/prepare.ts';
import { applyRecipe } from './apply-recipe.ts';
import { calibrateDataset, removeKept } from './calibrate-dataset.ts';
import type { Context, Made, Planned } from './compress-context.ts';
import { COMPRESS_DEFAULTS, type ResolvedCompress } from './compress-options.ts';
import { qat } from './qat-step.ts';
import { activationsSchema } from './result-schemas.ts';
import { openRecipe } from './sources.ts';

const writtenSchema = z.object({
  /** The hash of the model. */
  model: z.string(),
  /** The summary of its plan; the float model has none. */
  plan: planSummarySchema.optional(),
});
type Written = z.output<typeof writtenSchema>;

const quantizedSchema = writtenSchema.required();

/** The models to make: FP32, one for each recipe, and the trained one. @throws UsageError if two have the same file */
export async function planVariants({ output, recipes, qat: training, onNotice }: ResolvedCompress): Promise<Planned[]> {
  const planned: Planned[] = [
    {
      name: 'FP32',
      description: 'The checkpoint as it is, in 32-bit floating point.',
      path: join(output, 'fp32.onnx'),
      recipe: undefined,
      isTrained: false,
    },
  ];
  for (const source of recipes) {
    const recipe = await openRecipe(source, onNotice);
    const { name, description } = recipe;
    planned.push({ name, description, path: join(output, `${name}.onnx`), recipe, isTrained: false });
  }
  if (training) {
    const recipe = await openRecipe(training.recipe ?? COMPRESS_DEFAULTS.qatRecipe, onNotice);
    const description = `The recipe ${recipe.name}, after training with its rounding in place.`;
    planned.push({ name: 'QAT', description, path: join(output, 'qat.onnx'), recipe, isTrained: true });
  }
  const paths = planned.map(({ path }) => path.toLowerCase());
  const doubled = paths.find((path, index) => paths.indexOf(path) !== index);
  if (doubled !== undefined)
    throw new UsageError(`Two models would be written to ${doubled}; name each recipe once, and none fp32 or qat.`);
  return planned;
}

const hasStaticLayers = ({ rules }: Recipe): boolean => rules.some(({ treatment }) => treatment === 'static');

/** True if a recipe may need images: to calibrate on, or for a technique. */
export const needsImages = (recipe: Recipe): boolean => recipe.techniques.length > 0 || hasStaticLayers(recipe);

/** Writes the models of all variants; the float model comes first. */
export async function makeVariants(
  context: Context,
  planned: readonly Planned[],
  needsCalibration: boolean,
): Promise<Made[]> {
  const { records, float } = context;
  const source = modelHash(float.model);
  const base: JournalKey = { version: packageVersion(), checkpoint: source };
  const { seed, qat: training } = context.options;
  const made: Made[] = [];
  let statistics: Statistics | undefined;
  const planOf = planOnce(float);
  for (const variant of planned) {
    const { name, path, recipe, isTrained } = variant;
    if (!recipe) {
      const run = async () => {
        await writePackage(float, path);
        return { model: source };
      };
      const written = await records.do({ name: 'convert', key: base, files: [path], schema: writtenSchema, run });
      made.push({ ...variant, ...written });
      if (needsCalibration) statistics = await calibrateAll(context, planned, base, planOf);
      continue;
    }
    const work = context.phase(isTrained ? `train ${recipe.name}` : `quantize by ${name}`);
    const stepKey: JournalKey = {
      ...base,
      recipe: hashJson(recipe),
      calibration: context.plan.key,
      ...(isTrained && {
        seed,
        training: JSON.stringify({ ...training, recipe: undefined }),
        trainedOn: await identifyTrainingImages(context),
      }),
    };
    const run = () =>
      isTrained
        ? trainVariant(context, variant, hashJson(stepKey), work)
        : quantizeVariant(context, variant, { statistics, planOf }, work);
    const written = await records.do({
      name: `make ${name}`,
      key: stepKey,
      files: [path],
      schema: quantizedSchema,
      run,
    });
    made.push({ ...variant, ...written });
  }
  return made;
}

/** The number of values whose histograms a report shows. */
const SHOWN_RANGES = 10;

/**
 * How the ranges fit that calibration chose for the last variant with fixed ranges; undefined if there is none. A recipe that
 * changes weights first, and one that is trained, have other values than those that were calibrated together.
 */
export async function fitOfRanges(context: Context, made: readonly Made[]): Promise<ActivationRanges | undefined> {
  const { records, float, plan, state } = context;
  const variant = made.findLast(
    ({ recipe, isTrained }) => recipe && !isTrained && withoutPreparation(recipe) === recipe && hasStaticLayers(recipe),
  );
  if (!variant?.recipe) return undefined;
  const { name, recipe } = variant;
  const key: JournalKey = {
    version: packageVersion(),
    checkpoint: modelHash(float.model),
    recipe: hashJson(recipe),
    calibration: plan.key,
  };
  const run = async () => {
    const { statistics } = await readStatistics(join(state, 'statistics.json'));
    const resolved = resolveRanges(planQuantization(float.model, recipe), { statistics });
    return { variant: name, ...worstRanges(resolved, statistics, SHOWN_RANGES) };
  };
  return records.do({ name: 'fit of ranges', key, schema: activationsSchema, run });
}

async function identifyTrainingImages({ calibration, options }: Context): Promise<string> {
  const contents = await hashFiles(
    calibration.images.map((image) => calibration.pathOf(image)),
    { signal: options.signal },
  );
  return hashJson([calibration.images, calibration.annotations, contents]);
}

/** The plan of a recipe; undefined if the recipe changes weights first, so that the changed model has to be planned. */
type PlanOf = (recipe: Recipe) => QuantizationPlan | undefined;

/** A function that plans each recipe at its first call and keeps the plan. */
function planOnce({ model }: ModelPackage): PlanOf {
  const plans = new Map<string, QuantizationPlan>();
  return (recipe) => {
    if (withoutPreparation(recipe) !== recipe) return undefined;
    const key = hashJson(recipe);
    const plan = plans.get(key) ?? planQuantization(model, recipe);
    plans.set(key, plan);
    return plan;
  };
}

/** One calibration of every value that any of the recipes needs. */
async function calibrateAll(
  context: Context,
  planned: readonly Planned[],
  base: JournalKey,
  planOf: PlanOf,
): Promise<Statistics> {
  const { records, float, plan, state } = context;
  const work = context.phase('calibrate');
  const values = new Set<string>();
  // A recipe that changes weights is calibrated on the changed model, when it is applied.
  for (const { recipe } of planned)
    for (const value of (recipe && planOf(recipe))?.valuesToObserve ?? []) values.add(value);
  const file = join(state, 'statistics.json');
  const list = [...values].toSorted();
  const key = { ...base, calibration: plan.key, values: hashJson(list) };
  await records.do({
    name: 'calibrate',
    key,
    files: [file],
    schema: z.object({}),
    run: async () => {
      const partial = join(state, `statistics-${hashJson(key).slice(0, 16)}.partial`);
      const { threads } = context.options;
      await writeStatistics(await calibrateDataset(float, list, plan, { ...work, partial, threads }), file);
      await removeKept(partial);
      return {};
    },
  });
  return (await readStatistics(file)).statistics;
}

async function quantizeVariant(
  { float, plan, options }: Context,
  { recipe, path }: Planned,
  { statistics, planOf }: { readonly statistics: Statistics | undefined; readonly planOf: PlanOf },
  work: WorkOptions,
): Promise<Required<Written>> {
  if (!recipe) throw new Error('the float model is not quantized');
  const quantization = planOf(recipe);
  const { model, plan: done } = await applyRecipe(float, recipe, { ...work, plan, statistics, quantization });
  for (const sentence of done.notices) options.onNotice(`${recipe.name}: ${sentence}`);
  await writePackage({ ...float, model }, path);
  return writtenOf(model);
}

/** The training keeps its own state, by which it continues. */
async function trainVariant(
  { options, calibration, state }: Context,
  { recipe, path }: Planned,
  key: string,
  work: WorkOptions,
): Promise<Required<Written>> {
  const output = join(state, `qat-${key.slice(0, 16)}.onnx`);
  const { checkpoint, ema, tokenizer, calibrationImages, seed, threads, qat: training } = options;
  await qat({
    ...training,
    ...work,
    checkpoint,
    ema,
    tokenizer,
    dataset: calibration,
    calibration,
    // The values of its recipe were observed with those of the others.
    statistics: recipe && needsImages(recipe) ? join(state, 'statistics.json') : undefined,
    calibrationImages,
    seed,
    threads,
    recipe,
    output,
    onNotice: options.onNotice,
    onPlan: options.onNotice,
    checkpointMinutes: 1,
  });
  const trained = await readPackage(output);
  await writePackage(trained, path);
  await rm(output, { force: true });
  return writtenOf(trained.model);
}

function writtenOf(model: Model): Required<Written> {
  const plan = readPlanSummary(model);
  if (!plan) throw new Error('a quantized model carries the summary of its plan');
  return { model: modelHash(model), plan };
}
