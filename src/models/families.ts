/** The table of model families. A model that no entry recognises is of the generic family. */
import { z } from 'zod';
import { describeValue } from '../base/describe-value.ts';
import { InputError } from '../base/errors.ts';
import type { FamilyDefinition } from './family-definition.ts';
import { groundingDinoDefinition } from './grounding-dino/family.ts';

/** Every family whose models have a configuration. A new family is a folder and a line here. */
const FAMILIES: readonly FamilyDefinition[] = [groundingDinoDefinition];

/** The family of checkpoints that are one file of weights, which does not say which family it is of. */
export const weightsFileFamily: FamilyDefinition = groundingDinoDefinition;

const typedSchema = z.object({ model_type: z.string() });

/**
 * Finds the family of a configuration.
 *
 * @param config the parsed JSON of a `config.json`
 * @param source names the configuration in errors
 * @throws InputError if no family has such models
 */
export function findFamily(config: unknown, source: string): FamilyDefinition {
  const { data } = typedSchema.safeParse(config);
  const found = FAMILIES.find(({ modelTypes }) => modelTypes.includes(data?.model_type ?? ''));
  if (found) return found;
  const known = FAMILIES.flatMap(({ modelTypes }) => modelTypes.map((type) => `"${type}"`)).join(' or ');
  throw new InputError(
    data
      ? `${source}: model_type is ${describeValue(data.model_type)}, which dino8 does not know; it must be ${known}.`
      : `${source} has no model_type; it must be ${known}.`,
  );
}
