/**
 * A recipe says what is quantized and how: its rules lead from module paths and operator types to a mode. It is all that the
 * quantizer knows about a model.
 */

import { readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { z } from 'zod';
import { checkPath, checkValue } from '../base/check-options.ts';
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { readText } from '../base/files.ts';
import { packageRoot } from '../base/package-root.ts';
import { parseWith } from '../base/schema.ts';
import { parseYaml } from '../base/yaml.ts';
import { observerSchema } from './observe/observer.ts';
import { MODES } from './operators/operator.ts';
import { OPERATOR_NAMES } from './operators/operators.ts';

/** A pattern of module paths. Matching takes time in proportion to its length, for each node of a model. */
const patternSchema = z.string().min(1).max(1024);
const patternsSchema = z.union([patternSchema, z.array(patternSchema).min(1).max(1024)]);

const matchSchema = patternsSchema.default('**').transform((value) => [value].flat());

const weightsSchema = z.strictObject({
  /** 4-bit weights are computed with as 8-bit ones: the file is smaller, the speed the same. */
  bits: z.union([z.literal(8), z.literal(4)]).default(8),
  /** With 4 bits: the number of rows of a channel that share a scale; 0 for all rows. */
  block: z.number().int().min(0).max(4096).default(32),
  /** `channel`: one scale for each output channel; `tensor`: one scale for the whole weight. */
  per: z.enum(['channel', 'tensor']).default('channel'),
  /** `min-max`: the range ends at the largest magnitude of a channel; `mse`: at the smallest squared error. */
  observer: z.enum(['min-max', 'mse']).default('min-max'),
});

/** Ranges are of floats of 32 bits. */
const float = z.number().min(-3.4e38).max(3.4e38);

/** The name of the mode `weight-only` in recipes of the former version. */
const FORMER_WEIGHT_ONLY = 'weights';

const ruleSchema = z
  .strictObject({
    /** Patterns of module paths: `*` stands for one segment or a part of it, `**` for any number of segments. */
    match: patternsSchema.transform((value) => [value].flat()),
    /** Operator types; all that can be quantized if left out. */
    operators: z.array(z.enum(OPERATOR_NAMES)).optional(),
    /**
     * `weights`: nodes that compute with a stored weight. `activations`: nodes that compute with activations only, as in
     * attention and in residual sums; patterns then match the names of nodes.
     */
    inputs: z.enum(['weights', 'activations']).default('weights'),
    /** True if the rule may match nothing: it is for some of the models that the recipe is used for. */
    optional: z.boolean().optional(),
    /** How the nodes are computed: see `Mode`. */
    treatment: z.preprocess((value) => (value === FORMER_WEIGHT_ONLY ? 'weight-only' : value), z.enum(MODES)),
    /** How the weights become integers. */
    weights: weightsSchema.optional(),
    /** The observer, which makes a range from a statistic. */
    observer: observerSchema.optional(),
    /** True if ranges of activations are centred on 0. */
    symmetric: z.boolean().optional(),
    /** A range [minimum, maximum] that is known and takes the place of an observed one: after a softmax it is [0, 1]. */
    range: z
      .tuple([float, float])
      .refine(([min, max]) => min <= max, 'the minimum of a range must not be above its maximum')
      .optional(),
    /** The results of a layer, such as sampling offsets, are clipped to this percentile of their magnitudes. */
    clip: z.number().gt(50).max(100).optional(),
  })
  .superRefine((rule, context) => {
    const refuse = (key: keyof typeof rule, why: string) => {
      if (rule[key] !== undefined) context.addIssue({ code: 'custom', path: [key], message: why });
    };
    for (const key of ['observer', 'symmetric', 'range'] as const)
      if (rule.treatment !== 'static')
        refuse(key, `it applies to static layers only, and this rule makes them ${rule.treatment}`);
    if (rule.range !== undefined)
      for (const key of ['observer', 'symmetric'] as const) refuse(key, 'it has no effect on a range that is given');
    if (rule.treatment === 'float') refuse('weights', 'weights of float layers are not quantized');
    if (rule.inputs === 'activations')
      for (const key of ['weights', 'clip'] as const) refuse(key, 'it applies to rules with `inputs: weights` only');
  });

/** If true, a calibration without images leaves the technique out, with a notice; otherwise that is an error. */
const optional = z.boolean().default(false);

const techniqueSchema = z.discriminatedUnion('technique', [
  z.strictObject({
    /** The name of the technique. */
    technique: z.literal('smooth'),
    /** Patterns of module paths to which the technique applies. */
    match: matchSchema,
    /** How much of the difficulty moves from activations to weights, from 0 to 1. */
    alpha: z.number().min(0).max(1).default(0.5),
  }),
  z.strictObject({
    /** The name of the technique. */
    technique: z.literal('equalize'),
    /** Patterns of module paths to which the technique applies. */
    match: matchSchema,
  }),
  z.strictObject({
    /** The name of the technique. */
    technique: z.literal('balance-queries'),
    /** Patterns of module paths to which the technique applies. */
    match: matchSchema,
  }),
  z.strictObject({
    /** The name of the technique. */
    technique: z.literal('correct-bias'),
    /** Patterns of module paths to which the technique applies. */
    match: matchSchema,
    /** If true, a calibration without images leaves the technique out, with a notice. */
    optional,
  }),
  z.strictObject({
    /** The name of the technique. */
    technique: z.literal('adaround'),
    /** Patterns of module paths to which the technique applies. */
    match: matchSchema,
    /** The number of steps of the optimizer. */
    iterations: z.number().int().min(1).max(100_000).default(500),
    /** If true, a calibration without images leaves the technique out, with a notice. */
    optional,
  }),
  z.strictObject({
    /** The name of the technique. */
    technique: z.literal('gptq'),
    /** Patterns of module paths to which the technique applies. */
    match: matchSchema,
    /** The fraction of the mean of the Hessian's diagonal that is added to the diagonal. */
    damping: z.number().positive().max(1).default(0.01),
    /** If true, a calibration without images leaves the technique out, with a notice. */
    optional,
  }),
]);

const textSchema = z.strictObject({
  /** The value whose second dimension is the length of the text. */
  length: z.string().min(1),
  /** `treatment` applies to layers whose static range changes with the text by more than this factor. */
  factor: z.number().min(1).max(1e6).default(1.5),
  /**
   * The ranges of these layers are found at each run (`dynamic`), or are looked up by the length (`buckets`), from the
   * minimum to the maximum that was observed. A layer that can do neither keeps one range, and a notice names it.
   */
  treatment: z.enum(['dynamic', 'buckets']),
});

const recipeSchema = z.strictObject({
  description: z.string().min(1),
  /** Of the rules that match a node, the last one applies. */
  rules: z.array(ruleSchema).min(1).max(1024),
  /** Techniques are applied in this order. */
  techniques: z.array(techniqueSchema).max(64).default([]),
  text: textSchema.optional(),
});

/** A rule of a recipe. */
export type Rule = z.output<typeof ruleSchema>;
/** A technique of a recipe, with its settings. */
export type Technique = z.output<typeof techniqueSchema>;
/** The part of a recipe about ranges that change with the length of the text. */
export type TextRule = z.output<typeof textSchema>;

/** A recipe: rules that say how each node is quantized, and techniques. */
export interface Recipe {
  /** The name of a bundled recipe, or the file name without its extension. */
  readonly name: string;
  /** One sentence about the recipe, for lists and reports. */
  readonly description: string;
  /** Of the rules that match a node, the last one applies. */
  readonly rules: readonly Rule[];
  /** Techniques are applied in this order. */
  readonly techniques: readonly Technique[];
  /** The treatment of ranges that change with the length of the text; undefined if the recipe has none. */
  readonly text?: TextRule | undefined;
  /** Sentences about words of former versions that the recipe uses and that will not be read for long. */
  readonly notices?: readonly string[] | undefined;
}

/** The recipe that is meant where none is named. */
export const DEFAULT_RECIPE = 'mixed';

const folder = join(packageRoot, 'recipes');

/**
 * Returns the names of the recipes that are part of dino8.
 * @example
 * bundledRecipes(); // ['dynamic', 'fast', …]
 */
export function bundledRecipes(): string[] {
  return readdirSync(folder)
    .filter((name) => extname(name) === '.yaml')
    .map((name) => basename(name, '.yaml'));
}

/**
 * Reads a bundled recipe by its name, or any recipe by its path.
 *
 * @throws UsageError if there is no bundled recipe of that name; InputError if the file cannot be read or is not a recipe
 * @example
 * const recipe = await readRecipe('mixed');
 */
export async function readRecipe(nameOrPath: string): Promise<Recipe> {
  checkPath(nameOrPath);
  const isPath = /[./\\]/.test(nameOrPath);
  if (!isPath && !bundledRecipes().includes(nameOrPath))
    throw new UsageError(
      `There is no recipe ${nameOrPath}; the bundled ones are ${bundledRecipes().join(', ')}, others are given by their path.`,
    );
  const path = isPath ? nameOrPath : join(folder, `${nameOrPath}.yaml`);
  return parseRecipe(await readText(path, 1 << 20), path);
}

/**
 * Parses the YAML text of a recipe.
 *
 * @param source the path of the file, for messages and the recipe's name
 * @throws InputError if the text is not a recipe; the message says where
 * @example
 * const recipe = parseRecipe("description: All layers\nrules: [{ match: '**', treatment: static }]", 'all.yaml');
 */
export function parseRecipe(text: string, source: string): Recipe {
  checkValue('The recipe', z.string({ error: 'a text' }), text);
  checkPath(source);
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (error) {
    throw new InputError(`${source} is not valid YAML (${messageOf(error)}).`);
  }
  const recipe = parseWith(recipeSchema, value, source);
  const notices = usesFormerName(value)
    ? [`${source} says "treatment: ${FORMER_WEIGHT_ONLY}", which is now called "weight-only"; please rename it.`]
    : [];
  return { name: basename(source, extname(source)), ...recipe, notices };
}

const formerSchema = z.object({ rules: z.array(z.object({ treatment: z.unknown() })) });

function usesFormerName(value: unknown): boolean {
  const { data } = formerSchema.safeParse(value);
  return data?.rules.some(({ treatment }) => treatment === FORMER_WEIGHT_ONLY) ?? false;
}
