/**
 * A summary of the plan that a model was quantized by. It travels in the model's metadata, so that reports and `inspect` say
 * what is quantized without working it out again.
 */

import { z } from 'zod';
import { checkFields } from '../base/check-options.ts';
import { InputError, messageOf } from '../base/errors.ts';
import { parseWith } from '../base/schema.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import { getMetadata, setMetadata } from '../onnx/metadata.ts';
import type { Model } from '../onnx/read.ts';
import { countModes, type PlanCounts, type QuantizationPlan } from './plan.ts';

const METADATA_KEY = 'dino8.quantization';

const count = z.number().int().min(0);

/** Layers with weights that stay float. */
export interface FloatLayers {
  /** Their module path, in which `*` stands for the numbers of layers that are alike. */
  readonly path: string;
  /** The number of these layers. */
  readonly count: number;
}

/** A short summary of the plan of a model. */
export interface PlanSummary {
  /** The name of the recipe. */
  readonly recipe: string;
  /** The name of the runtime that the plan was made for. */
  readonly target: string;
  /** The number of layers in each mode, and of quantized nodes that compute with activations only, by operator. */
  readonly layers: PlanCounts;
  /** The names of the techniques that were applied, in order. */
  readonly techniques: readonly string[];
  /** The layers with weights that stay float. */
  readonly floatLayers: readonly FloatLayers[];
}

/** The form of `PlanSummary` in files. */
export const planSummarySchema: z.ZodType<PlanSummary> = z.object({
  recipe: z.string(),
  target: z.string(),
  layers: z.object({
    float: count,
    dynamic: count,
    static: count,
    'weight-only': count,
    activations: z.record(z.string(), count).readonly(),
  }),
  techniques: z.array(z.string()).readonly(),
  floatLayers: z.array(z.object({ path: z.string(), count })).readonly(),
});

/**
 * Sums up a plan.
 *
 * @param techniques the techniques that were applied; by default those of the plan's recipe
 * @example
 * const { floatLayers } = summarizePlan(planQuantization(model, recipe));
 */
export function summarizePlan(plan: QuantizationPlan, techniques?: readonly string[]): PlanSummary {
  checkFields('The plan must be what `planQuantization` returned', plan, 'entries', 'recipe');
  const floatLayers = new Map<string, number>();
  for (const { path, mode, operands } of plan.entries) {
    if (mode !== 'float' || operands !== 'weights') continue;
    const alike = path.replaceAll(/(?<=^|\.)\d+(?=\.|$)/g, '*');
    floatLayers.set(alike, (floatLayers.get(alike) ?? 0) + 1);
  }
  return {
    recipe: plan.recipe.name,
    target: plan.target.name,
    layers: countModes(plan),
    techniques: techniques ?? plan.recipe.techniques.map(({ technique }) => technique),
    floatLayers: [...floatLayers].map(([path, number]) => ({ path, count: number })),
  };
}

/**
 * Writes a summary into the metadata of a model.
 * @example
 * storePlanSummary(quantized, summarizePlan(plan));
 */
export function storePlanSummary(model: Model, summary: PlanSummary): void {
  checkModelArgument(model);
  setMetadata(model, METADATA_KEY, JSON.stringify(summary));
}

/**
 * Returns the summary of the plan that a model was quantized by.
 *
 * @returns undefined if the model carries none: it is float, or dino8 did not quantize it
 * @throws InputError if the metadata is damaged
 * @example
 * const summary = readPlanSummary(await readModel('tiny.int8.onnx'));
 */
export function readPlanSummary(model: Model): PlanSummary | undefined {
  checkModelArgument(model);
  const text = getMetadata(model, METADATA_KEY);
  if (text === undefined) return undefined;
  try {
    return parseWith(planSummarySchema, JSON.parse(text), `The metadata ${METADATA_KEY} of the model`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InputError(`The metadata ${METADATA_KEY} of the model is no JSON (${messageOf(error)}).`);
  }
}
