/**
 * What a runtime takes, as data: the operators that it has, the limits on them, and the source of each statement. A table is
 * the file `operators.json` in the folder of a target; `lint-operators.ts` reads models by it.
 */
import { z } from 'zod';
import { parseWith } from '../../base/schema.ts';

/** A condition that a node has to fulfil. */
const checkSchema = z.discriminatedUnion('kind', [
  /** A text attribute has one of these values, if the node states it. */
  z.object({ kind: z.literal('attribute'), name: z.string(), in: z.array(z.string()) }),
  /** An attribute of one or more integers has these values only, if the node states it. */
  z.object({ kind: z.literal('integer-attribute'), name: z.string(), in: z.array(z.number()) }),
  /** An input that is given is stored in the file. */
  z.object({ kind: z.literal('constant'), input: z.number() }),
  /** An input is given. */
  z.object({ kind: z.literal('present'), input: z.number() }),
  /** All numbers of an input that is stored are below a limit. */
  z.object({ kind: z.literal('maximum'), input: z.number(), below: z.number() }),
  /** All numbers of an input that is stored are above 0. */
  z.object({ kind: z.literal('positive'), input: z.number() }),
  /** The number of dimensions of an input, if it is known. */
  z.object({ kind: z.literal('rank'), input: z.number(), in: z.array(z.number()) }),
  /** Results from this one on are not used. */
  z.object({ kind: z.literal('unused-outputs'), from: z.number() }),
  /** The integers of a pair, by its zero point, have one of these types. */
  z.object({ kind: z.literal('integers'), in: z.array(z.string()) }),
  /** The zero point of a pair is 0. */
  z.object({ kind: z.literal('zero-point-zero') }),
  /** An activation has one scale. */
  z.object({ kind: z.literal('scale-of-activation') }),
  /** The result is no result of the model. */
  z.object({ kind: z.literal('no-result') }),
  /** The operators that read the result. */
  z.object({ kind: z.literal('readers'), in: z.array(z.string()) }),
  /** Both factors of a product are dequantized, or neither is; `weightsAlone` allows a weight that alone is. */
  z.object({ kind: z.literal('both-inputs'), weightsAlone: z.boolean().optional() }),
  /** The bias is not dequantized. */
  z.object({ kind: z.literal('float-bias') }),
  /** The result of a product of integers is not quantized at once. */
  z.object({ kind: z.literal('float-result') }),
]);

/** What a runtime does with a node that breaks a rule: it does not load the model, computes something else, or is slower. */
const effectSchema = z.enum(['refused', 'wrong', 'float']);

const ruleSchema = z.object({
  id: z.string(),
  operator: z.string(),
  versions: z.array(z.string()).optional(),
  check: checkSchema,
  effect: effectSchema,
  problem: z.string(),
  source: z.url(),
});

const tableSchema = z.object({
  runtime: z.string(),
  /** The versions of the runtime that the table tells apart, the oldest first. */
  versions: z.array(z.object({ name: z.string(), opset: z.number(), functions: z.boolean(), source: z.url() })),
  /** The versions for which the target writes models. */
  madeFor: z.array(z.string()),
  /** The oldest version that has each operator; undefined if the runtime has all of the standard. */
  operators: z.record(z.string(), z.string()).optional(),
  rules: z.array(ruleSchema),
});

/** A condition of a rule. */
export type OperatorCheck = z.infer<typeof checkSchema>;
/** What a runtime does with a node that breaks a rule. */
export type RuleEffect = z.infer<typeof effectSchema>;
/** One limit on one operator. */
export type OperatorRule = z.infer<typeof ruleSchema>;
/** What a runtime takes. */
export type OperatorTable = z.infer<typeof tableSchema>;

/** Checks the form of a table. */
export const parseOperatorTable = (data: unknown, name: string): OperatorTable => parseWith(tableSchema, data, name);
