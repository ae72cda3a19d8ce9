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

const ruleSchema = z.strictObject({
  /** Module paths: `*` stands for one segment or a part of it, `**` for any number of segments. */
  match: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).transform((value) => [value].flat()),
  /** Operator types; all that can be quantized if left out. */
  operators: z.array(z.enum(['MatMul', 'Gemm', 'Conv', 'Gather'])).optional(),
  /**
   * What is multiplied with the activations: stored weights, or other activations, as in attention. With `activations`,
   * patterns match names of nodes: products (`float` or `dynamic`), and the values of deformable attention (also `static`).
   */
  inputs: z.enum(['weights', 'activations']).default('weights'),
  /**
   * - `float`: as it is
   * - `dynamic`: int8 weights, activations quantized at each run by their own range
   * - `static`: int8 weights, activations quantized by ranges from calibration
   * - `weights`: int8 weights, computed with in float: for embeddings, and for stacks of matrices
   */
  treatment: z.enum(['float', 'dynamic', 'static', 'weights']),
});

const recipeSchema = z.strictObject({
  description: z.string().min(1),
  /** Of the rules that match a node, the last one counts. */
  rules: z.array(ruleSchema).min(1),
});

export type Rule = z.output<typeof ruleSchema>;
export type Treatment = Rule['treatment'];

export interface Recipe {
  readonly name: string;
  readonly description: string;
  readonly rules: readonly Rule[];
}

export const DEFAULT_RECIPE = 'static';

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
