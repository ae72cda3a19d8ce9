/** The step from a float model to an INT8 model by a recipe. */

import { type OptionSchemas, text } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { sizeOf } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { LoadedModel } from '../models/family.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import { writeLoadedModel } from '../models/package/write-loaded.ts';
import type { Model } from '../onnx/read.ts';
import { type PlanCounts, planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import type { PlanEntry } from '../quant/plan-entry.ts';
import { readPlanSummary } from '../quant/plan-summary.ts';
import type { QuantizeOptions } from '../quant/quantize.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { applyRecipe } from './apply-recipe.ts';
import { type CalibrationOptions, resolveCalibration } from './calibration-options.ts';
import { checkModel } from './check-model.ts';
import type { WrittenModel } from './convert-step.ts';
import { defaultRecipe } from './default-recipe.ts';
import {
  calibrationSchemas,
  modelSchema,
  overwriteSchemas,
  recipeSchema,
  targetSchema,
  threadSchemas,
  workSchemas,
} from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type AnyModelSource, openAnyModel, openRecipe, type RecipeSource } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `quantize`. */
export interface QuantizeStepOptions
  extends WorkOptions,
    ReadOptions,
    CalibrationOptions,
    ThreadOptions,
    OverwriteOptions {
  /** The float model. */
  readonly model: AnyModelSource;
  /** The path to write: one ONNX file if it ends in `.onnx`, otherwise a folder as transformers.js reads it. */
  readonly output: string;
  /** The recipe; by default `mixed`, and `generic` for a model that is no detector of dino8. */
  readonly recipe?: RecipeSource | undefined;
  /** The runtime that the model is made for; `ort-cpu` by default. */
  readonly target?: QuantizeOptions['target'];
}

const schemas: OptionSchemas<QuantizeStepOptions> = {
  ...readSchemas,
  ...calibrationSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  output: text,
  recipe: recipeSchema,
  target: targetSchema,
};

/** The result of `quantize`. */
export interface QuantizeResult extends WrittenModel {
  /** The name of the recipe. */
  readonly recipe: string;
  /** The number of layers in each precision. */
  readonly layers: PlanCounts;
  /** The layers of the plan that was carried out. */
  readonly explained: readonly ExplainedLayer[];
  /** How many nodes stay float, by the type of the operator: those that dino8 does not quantize, or the recipe does not. */
  readonly floatOperators: Readonly<Record<string, number>>;
}

/**
 * Quantizes a model by a recipe and writes it. Calibrates first if the recipe needs it and there are no statistics.
 *
 * @throws UsageError if the recipe needs calibration and neither `statistics` nor `calibration` is given, or if the model is quantized
 * already
 * @example
 * await quantize({ model: 'tiny.onnx', output: 'tiny.int8.onnx', statistics: 'statistics.json' });
 */
export async function quantize(options: QuantizeStepOptions): Promise<QuantizeResult> {
  return runStep('quantize', schemas, options, async () => {
    const { output, signal } = options;
    await checkStepFiles({
      outputs: [],
      modelOutput: output,
      models: [options.model],
      tokenizer: options.tokenizer,
      data: [options.calibration],
      recipe: options.recipe,
      statistics: [options.statistics],
      overwrite: options.overwrite,
    });
    const { quantized, ...facts } = await quantizeOpened(options);
    signal?.throwIfAborted();
    await checkModel(quantized.model, output);
    signal?.throwIfAborted();
    await writeLoadedModel(quantized, output);
    return { output, bytes: await sizeOf(output), ...facts };
  });
}

/** The quantized model, and what was done. When this returns, nothing refers to the weights of the float model any more. */
async function quantizeOpened(options: QuantizeStepOptions) {
  const { target, onNotice, onProgress, signal } = options;
  const source = await openAnyModel(options.model, options);
  refuseQuantized(source);
  const recipe = await openRecipe(options.recipe ?? defaultRecipe(source), onNotice);
  const { model, counts, plan } = await applyRecipe(source, recipe, {
    ...(await resolveCalibration(source, options)),
    onProgress,
    signal,
    target,
    onLeftOut: (technique) =>
      onNotice?.(`The technique ${technique} is left out, because it needs images; name some with \`calibration\`.`),
  });
  for (const sentence of plan.notices) onNotice?.(sentence);
  const floatOperators = floatOperatorsOf(source.model, plan);
  ownSmallWeights(model);
  return {
    quantized: { ...source, model },
    recipe: recipe.name,
    layers: counts,
    explained: explain(plan),
    floatOperators,
  };
}

/** Layers that are quantized are no layers to a recipe. @throws UsageError if a model is quantized already */
function refuseQuantized({ source, model }: LoadedModel): void {
  const summary = readPlanSummary(model);
  if (summary)
    throw new UsageError(
      `${source} is quantized already, by the recipe ${summary.recipe} for the target ${summary.target}; quantize the float model that it was made from.`,
    );
}

/** The fraction of the bytes of a file below which its weights are copied, so that the rest of the file can be freed. */
const SMALL = 1 / 4;

/** Copies the weights that are parts of the float model's file, if they are a small part of it, so that they do not keep it. */
function ownSmallWeights({ graph }: Model): void {
  const used = new Map<ArrayBufferLike, number>();
  for (const { rawData } of graph.initializer)
    used.set(rawData.buffer, (used.get(rawData.buffer) ?? 0) + rawData.byteLength);
  for (const tensor of graph.initializer) {
    const { buffer } = tensor.rawData;
    if ((used.get(buffer) ?? 0) < SMALL * buffer.byteLength) tensor.rawData = tensor.rawData.slice();
  }
}

/** The nodes of a model that a plan does not quantize, counted by operator. Operators of other domains have them in front. */
function floatOperatorsOf({ graph }: Model, { entries }: QuantizationPlan): Record<string, number> {
  const quantized = new Set(entries.filter(({ mode }) => mode !== 'float').map(({ node }) => node.output[0]));
  const counts: Record<string, number> = {};
  for (const { domain, opType, output } of graph.node) {
    const name = domain ? `${domain}::${opType}` : opType;
    if (!quantized.has(output[0])) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Options of `explainRecipe`. */
export interface ExplainOptions extends ReadOptions, ThreadOptions {
  /** The float model. */
  readonly model: AnyModelSource;
  /** The recipe; by default `mixed`, and `generic` for a model that is no detector of dino8. */
  readonly recipe?: RecipeSource | undefined;
  /** The runtime that the model is made for; `ort-cpu` by default. */
  readonly target?: QuantizeOptions['target'];
  /** Called with one sentence for each thing that the caller should know and that is no error. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

const explainSchemas: OptionSchemas<ExplainOptions> = {
  ...readSchemas,
  ...threadSchemas,
  model: modelSchema,
  recipe: recipeSchema,
  target: targetSchema,
  onNotice: workSchemas.onNotice,
};

/** One layer, and how a recipe quantizes it. */
export interface ExplainedLayer {
  /** The module path of a layer with weights, or the name of the node of an operator on activations. */
  readonly module: string;
  /** The name of the operator in recipes. */
  readonly operator: string;
  /** The operands that the rule is about. */
  readonly inputs: PlanEntry['operands'];
  /** The precision. */
  readonly treatment: PlanEntry['mode'];
  /** Bits of a weight or of the activations; 32 in float. */
  readonly bits: number;
  /** The number of the rule that decided, from 1; undefined if none matched. */
  readonly rule: number | undefined;
  /** The reason for which the target leaves the layer float although the recipe quantizes it. */
  readonly refusal: string | undefined;
}

/**
 * Lists what a recipe does with each layer of a model, without quantizing it.
 *
 * @throws UsageError if a rule of the recipe matches nothing
 * @example
 * for (const { module, treatment } of await explainRecipe({ model: 'tiny.onnx', recipe: 'dynamic' }))
 *   console.log(module, treatment);
 */
export async function explainRecipe(options: ExplainOptions): Promise<ExplainedLayer[]> {
  return runStep('explainRecipe', explainSchemas, options, async () => {
    const { target, onNotice } = options;
    const source = await openAnyModel(options.model, options);
    const recipe = await openRecipe(options.recipe ?? defaultRecipe(source), onNotice);
    const plan = planQuantization(source.model, recipe, { target });
    for (const sentence of plan.notices) onNotice?.(sentence);
    return explain(plan);
  });
}

function explain({ entries }: QuantizationPlan): ExplainedLayer[] {
  return entries.map(({ path, node, operator, operands, mode, weight, rule, refusal }) => ({
    module: operands === 'weights' ? path : node.name,
    operator,
    inputs: operands,
    treatment: mode,
    bits: mode === 'float' ? 32 : (weight?.scheme.bits ?? 8),
    rule: rule?.number,
    refusal,
  }));
}
