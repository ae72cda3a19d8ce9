/**
 * A recipe says what is quantized and how: rules from module paths and operator types to a treatment. It is all that
 * the quantizer knows of a model.
 */
import { readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { readText } from '../base/files.ts';
import { packageRoot } from '../base/package-root.ts';
import { parseWith } from '../base/schema.ts';
import { matchesWildcard } from '../base/wildcard.ts';
import { observerSchema } from './observe/observer.ts';

const matchSchema = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .default('**')
  .transform((value) => [value].flat());

const weightsSchema = z.strictObject({
  /** 4-bit weights are computed with as 8-bit ones: the file is smaller, the speed the same. */
  bits: z.union([z.literal(8), z.literal(4)]).default(8),
  /** With 4 bits: rows of a channel that share a scale; 0 for all of them. */
  block: z.number().int().min(0).max(4096).default(32),
  /** One scale for each output channel, or one for all. */
  per: z.enum(['channel', 'tensor']).default('channel'),
  /** `min-max`: to the largest weight of a channel; `mse`: to where the squared error is least. */
  observer: z.enum(['min-max', 'mse']).default('min-max'),
});

const ruleSchema = z.strictObject({
  /** Module paths: `*` stands for one segment or a part of it, `**` for any number of segments. */
  match: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).transform((value) => [value].flat()),
  /** Operator types; all that can be quantized if left out. */
  operators: z.array(z.enum(['MatMul', 'Gemm', 'Conv', 'Gather', 'Add', 'MultiScaleDeformableAttention'])).optional(),
  /**
   * What is multiplied with, or added to, the activations: stored weights, or other activations, as in attention and in
   * residual sums. With `activations`, patterns match names of nodes.
   */
  inputs: z.enum(['weights', 'activations']).default('weights'),
  /**
   * - `float`: as it is
   * - `dynamic`: int8 weights, activations quantized at each run by their own range
   * - `static`: int8 weights, activations quantized by ranges from calibration
   * - `weights`: int8 weights, computed with in float: for embeddings, and for stacks of matrices
   */
  treatment: z.enum(['float', 'dynamic', 'static', 'weights']),
  weights: weightsSchema.optional(),
  /** What makes a range of what calibration saw. */
  observer: observerSchema.optional(),
  /** Ranges of activations are centred on 0. */
  symmetric: z.boolean().optional(),
  /** A range that is known, in place of an observed one: after a softmax everything is in 0 … 1. */
  range: z.tuple([z.number(), z.number()]).optional(),
  /** Clips the results, such as sampling offsets, to this percentile of their magnitudes. */
  clip: z.number().gt(50).max(100).optional(),
});

/** Left out, with a word about it, where there are no images to learn from; without it, that is an error. */
const optional = z.boolean().default(false);

const techniqueSchema = z.discriminatedUnion('technique', [
  z.strictObject({ technique: z.literal('smooth'), match: matchSchema, alpha: z.number().min(0).max(1).default(0.5) }),
  z.strictObject({ technique: z.literal('equalize'), match: matchSchema }),
  z.strictObject({ technique: z.literal('balance-queries'), match: matchSchema }),
  z.strictObject({ technique: z.literal('correct-bias'), match: matchSchema, optional }),
  z.strictObject({
    technique: z.literal('adaround'),
    match: matchSchema,
    iterations: z.number().int().min(1).max(100_000).default(500),
    optional,
  }),
  z.strictObject({
    technique: z.literal('gptq'),
    match: matchSchema,
    damping: z.number().positive().max(1).default(0.01),
    optional,
  }),
]);

const textSchema = z.strictObject({
  /** The value whose second axis is the length of the text. */
  length: z.string().min(1),
  /** Static ranges that change with the text by more than this factor … */
  factor: z.number().min(1).default(1.5),
  /** … are found at each run instead, or looked up by the length. */
  treatment: z.enum(['dynamic', 'buckets']),
});

const recipeSchema = z.strictObject({
  description: z.string().min(1),
  /** Of the rules that match a node, the last one counts. */
  rules: z.array(ruleSchema).min(1),
  /** Applied in this order. */
  techniques: z.array(techniqueSchema).default([]),
  text: textSchema.optional(),
});

export type Rule = z.output<typeof ruleSchema>;
export type Treatment = Rule['treatment'];
export type Technique = z.output<typeof techniqueSchema>;
export type TextRule = z.output<typeof textSchema>;

export interface Recipe {
  readonly name: string;
  readonly description: string;
  readonly rules: readonly Rule[];
  readonly techniques: readonly Technique[];
  readonly text?: TextRule | undefined;
}

export const DEFAULT_RECIPE = 'mixed';

const folder = join(packageRoot, 'recipes');

/** The names of the recipes that come with dino8. */
export function bundledRecipes(): string[] {
  return readdirSync(folder)
    .filter((name) => extname(name) === '.yaml')
    .map((name) => basename(name, '.yaml'));
}

/** Reads a bundled recipe by its name, or any recipe by its path. */
export async function readRecipe(nameOrPath: string): Promise<Recipe> {
  const isPath = /[./\\]/.test(nameOrPath);
  if (!isPath && !bundledRecipes().includes(nameOrPath))
    throw new UsageError(
      `There is no recipe ${nameOrPath}; the bundled ones are ${bundledRecipes().join(', ')}, others are given by their path.`,
    );
  const path = isPath ? nameOrPath : join(folder, `${nameOrPath}.yaml`);
  return parseRecipe(await readText(path, 1 << 20), path);
}

export function parseRecipe(text: string, source: string): Recipe {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 100, logLevel: 'error' });
  } catch (error) {
    throw new InputError(`${source} is not valid YAML (${messageOf(error)}).`);
  }
  return { name: basename(source, extname(source)), ...parseWith(recipeSchema, value, source) };
}

/** True if a module path fits a pattern. */
export function matchesPath(pattern: string, path: string): boolean {
  return matchSegments(pattern.split('.'), path.split('.'));
}

function matchSegments(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return path.length === 0;
  if (first === '**') return path.some((_, index) => matchSegments(rest, path.slice(index))) || matchSegments(rest, []);
  const [segment, ...others] = path;
  return segment !== undefined && matchesWildcard(first, segment) && matchSegments(rest, others);
}
