/**
 * Checks of what callers of public functions give. The compiler checks callers in TypeScript; those in JavaScript may give
 * anything, and an option that is misspelt must not be ignored.
 */
import { z } from 'zod';
import { UsageError } from './errors.ts';

/** A schema for each option. The compiler requires one for every option and refuses others. */
export type OptionSchemas<Options> = { readonly [Name in keyof Required<Options>]: z.ZodType };

/**
 * Checks the options of a function.
 * @param of the name of the function
 * @param schemas what each option must be; the message of a schema completes the sentence "`name` must be …"
 * @throws UsageError that names the option
 */
export function checkOptions<Options extends object>(
  of: string,
  schemas: OptionSchemas<Options>,
  options: Options,
): void {
  const given: unknown = options;
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new UsageError(`${of} takes its options as an object, not ${describe(given)}.`);
  const known: ReadonlyMap<string, z.ZodType> = new Map(Object.entries(schemas));
  const unknown = Object.entries(given).find(([name, value]) => value !== undefined && !known.has(name));
  if (unknown)
    throw new UsageError(`${of} has no option \`${unknown[0]}\`; its options are ${[...known.keys()].join(', ')}.`);
  for (const [name, schema] of known) checkValue(`\`${name}\``, schema, Reflect.get(given, name));
}

/**
 * Checks one argument of a function.
 * @param name the argument, as a message calls it
 * @throws UsageError that names it
 */
export function checkValue(name: string, schema: z.ZodType, value: unknown): void {
  const result = schema.safeParse(value);
  if (result.success) return;
  const [issue] = result.error.issues;
  if (issue?.code === 'unrecognized_keys') throw new UsageError(`${name} has no field ${issue.keys[0]}; leave it out.`);
  const { message = 'valid', path = [] } = issue ?? {};
  const place = path.length > 0 ? ` at ${path.join('.')}` : '';
  throw new UsageError(`${name} must be ${message}, not ${describe(valueAt(value, path))}${place}.`);
}

/** @throws UsageError if what a caller gave as a path is none */
export function checkPath(path: string): void {
  checkValue('The path', text, path);
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );

/** A value as a message shows it. */
function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/**
 * Checks an argument by the fields that the function reads, for functions that are called for every node of a graph.
 * @param what the argument and what it must be, as a message calls them: "the node must be a node of a graph"
 * @throws UsageError with that message
 */
export function checkFields(what: string, value: object | undefined | null, ...fields: readonly string[]): void {
  const given: unknown = value;
  if (typeof given === 'object' && given !== null && fields.every((field) => field in given)) return;
  throw new UsageError(`${what}, not ${describe(given)}.`);
}

/** A whole number within bounds. */
export function wholeNumber(minimum: number, maximum = Number.MAX_SAFE_INTEGER): z.ZodType {
  const error =
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${minimum}`
      : `a whole number from ${minimum} to ${maximum}`;
  return z.number({ error }).int({ error }).min(minimum, { error }).max(maximum, { error });
}

/** A number within bounds, which belong to it. */
export function numberWithin(minimum: number, maximum: number): z.ZodType {
  const error = maximum === Number.MAX_VALUE ? `a number from ${minimum} up` : `a number from ${minimum} to ${maximum}`;
  return z.number({ error }).min(minimum, { error }).max(maximum, { error });
}

/** One of some words. */
export const oneOf = (words: readonly string[]): z.ZodType => z.enum(words, { error: `one of ${words.join(', ')}` });

/** One of a few numbers, such as those of bits. */
export const oneOfNumbers = (...numbers: readonly [number, ...number[]]): z.ZodType =>
  z.literal([...numbers], { error: `one of ${numbers.join(', ')}` });

/** A text that is not empty, such as a path. */
export const text: z.ZodType = z.string({ error: 'a text' }).min(1, { error: 'a text that is not empty' });

/** True or false. */
export const truth: z.ZodType = z.boolean({ error: 'true or false' });

/** A function that is called back. */
export const callback: z.ZodType = z.custom((value) => typeof value === 'function', { error: 'a function' });

/** The signal of an AbortController. */
export const abortSignal: z.ZodType = z.custom(
  (value) => typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value,
  { error: 'an AbortSignal' },
);

/** An object that is known by some of its fields, such as a model that was read before. */
export const objectWith = (what: string, ...fields: readonly string[]): z.ZodType =>
  z.custom((value) => typeof value === 'object' && value !== null && fields.every((field) => field in value), {
    error: what,
  });

/** A list of values of one kind. */
export const listOf = (what: string, item: z.ZodType): z.ZodType => z.array(item, { error: what });

/** A value of one of two kinds, whose message is that of both. */
export const either = (what: string, ...kinds: readonly [z.ZodType, z.ZodType, ...z.ZodType[]]): z.ZodType =>
  z.custom((value) => kinds.some((kind) => kind.safeParse(value).success), { error: what });

/** The schema of an option that may be left out. */
export const optional = (schema: z.ZodType): z.ZodType => schema.optional();
