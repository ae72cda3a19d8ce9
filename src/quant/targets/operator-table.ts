/**
 * What a runtime takes, as data: the operators that it has, the limits on them, and the source of each statement. A table is
 * the file `operators.json` in the folder of a target; `lint-operators.ts` reads models by it.
 */
import { z } from 'zod';
import { parseWith } from '../../base/schema.ts';

/** A condition that a node has to fulfil. */
const checkSchema = z.discriminatedUnion('kind', [
  /** A text attribute has one of these values, if the node states it; with no values, the node does not state it. */
  z.object({ kind: z.literal('attribute'), name: z.string(), in: z.array(z.string()) }),
  /** An attribute of one or more integers has these values only, if the node states it; with no values, it does not state it. */
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
  /** The type of the elements of an input, if it is known. */
  z.object({ kind: z.literal('type'), input: z.number(), in: z.array(z.string()) }),
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

/** The way in which a runtime fails on a node that breaks a rule: it refuses the model, computes something else, or is slower. */
export type RuleEffect = z.infer<typeof effectSchema>;

/** One limit on one operator. */
export interface OperatorRule {
  /** The name of the rule. */
  readonly id: string;
  /** The operator that it is about. */
  readonly operator: string;
  /** The versions of the runtime that have the limit; all by default. */
  readonly versions?: readonly string[] | undefined;
  /**
   * The condition that a node has to fulfil.
   * @internal
   */
  readonly check: OperatorCheck;
  /** The way in which the runtime fails on a node that does not fulfil it. */
  readonly effect: RuleEffect;
  /** The words for that, as the rest of a sentence about the node. */
  readonly problem: string;
  /** The page that says so. */
  readonly source: string;
}

/** A version of a runtime. */
export interface RuntimeVersion {
  /** The number of the version, as its makers write it. */
  readonly name: string;
  /** The newest operator set that it takes. */
  readonly opset: number;
  /** Whether it takes functions of a model. */
  readonly functions: boolean;
  /** The page that says so. */
  readonly source: string;
}

/** The operators that a runtime takes, with their limits. */
export interface OperatorTable {
  /** The name of the runtime. */
  readonly runtime: string;
  /** The versions that the table tells apart, the oldest first. */
  readonly versions: readonly RuntimeVersion[];
  /** The versions for which the target writes models. */
  readonly madeFor: readonly string[];
  /** The oldest version that has each operator; undefined if the runtime has all of the standard. */
  readonly operators?: Readonly<Record<string, string>> | undefined;
  /** The limits on operators. */
  readonly rules: readonly OperatorRule[];
}

/** Checks the form of a table. */
export const parseOperatorTable = (data: unknown, name: string): OperatorTable => parseWith(tableSchema, data, name);
