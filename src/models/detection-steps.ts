/**
 * The table of families whose models detect, by what a run needs of them. Unlike `families.ts` it loads nothing that builds graphs or
 * reads files, so that it can be part of a page.
 */
import { z } from 'zod';
import { describeValue } from '../base/describe-value.ts';
import { InputError } from '../base/errors.ts';
import type { DetectionSteps } from './detection-family.ts';
import { MODEL_TYPES, parseConfig } from './grounding-dino/config.ts';
import { groundingDinoSteps } from './grounding-dino/detection-steps.ts';

const typedSchema = z.object({ model_type: z.string() });

/**
 * Finds what happens before and after the runs of a model.
 *
 * @param config the parsed JSON of its `config.json`
 * @param source names the configuration in errors
 * @throws InputError if no family has such models, or if the configuration is wrong
 */
export function findDetectionSteps(config: unknown, source: string): DetectionSteps {
  const { data } = typedSchema.safeParse(config);
  if (MODEL_TYPES.some((type) => type === data?.model_type)) return groundingDinoSteps(parseConfig(config, source));
  throw new InputError(
    `${source}: model_type is ${describeValue(data?.model_type)}, which this version of dino8 does not know.`,
  );
}
