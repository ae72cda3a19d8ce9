/** What is wrong with a file is said in words that do not come from a programming language. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { InputError } from './errors.ts';
import { parseWith } from './schema.ts';

const phrases = z.record(z.string(), z.array(z.string().min(1)).min(1));
const either = z.union([z.string(), z.array(z.string())]);

test.each<[z.ZodType, unknown, string]>([
  [phrases, { car: 3 }, ' at car: it must be a list, and is 3.'],
  [phrases, { car: 'auto' }, ' at car: it must be a list, and is "auto".'],
  [phrases, { car: [null] }, ' at car.0: it must be a text, and is null.'],
  [phrases, { car: [] }, ' at car: it must not be empty.'],
  [phrases, { car: [''] }, ' at car.0: it must not be empty.'],
  [phrases, ['car'], ': it must be an object with named values, and is ["car"].'],
  [phrases, null, ': it must be an object with named values, and is null.'],
  [z.object({ a: z.number() }), {}, ' at a: it is missing, and must be a number.'],
  [z.object({ a: z.number() }), { a: 'x' }, ' at a: it must be a number, and is "x".'],
  [z.object({ a: z.number() }), { a: Number.POSITIVE_INFINITY }, ' at a: it must be a number, and is Infinity.'],
  [z.object({ a: z.number().int() }), { a: 0.5 }, ' at a: it must be a whole number, and is 0.5.'],
  [z.number().min(0), -1, ': it must be at least 0, and is -1.'],
  [z.number().positive(), 0, ': it must be more than 0, and is 0.'],
  [z.number().max(1), 2, ': it must be at most 1, and is 2.'],
  [z.array(z.number()).max(1), [1, 2], ': it must have at most 1 entries.'],
  [z.tuple([z.number(), z.number()]), 'x', ': it must be a list, and is "x".'],
  [z.boolean(), 'yes', ': it must be true or false, and is "yes".'],
  [z.enum(['a', 'b', 'c']), 'd', ': it must be "a", "b" or "c", and is "d".'],
  [z.literal(1), 2, ': it must be 1, and is 2.'],
  [z.strictObject({ a: z.number() }), { a: 1, b: 2 }, ': it has the unknown field "b".'],
  [either, 3, ': it must be a text or a list, and is 3.'],
  [either, ['a', 3], ' at 1: it must be a text, and is 3.'],
  [z.object({ a: either }), { a: [1] }, ' at a.0: it must be a text, and is 1.'],
  [z.object({ a: z.number(), b: z.number() }), {}, ' at a: it is missing, and must be a number (and 1 more).'],
])('%# says what a value must be', (schema, value, message) => {
  expect(() => parseWith(schema, value, 'f.yaml')).toThrow(new InputError(`f.yaml is not as expected${message}`));
});

test('words of the schema itself have priority', () => {
  const schema = z.object({ a: z.number({ error: 'a size is needed' }) });
  expect(() => parseWith(schema, {}, 'f.yaml')).toThrow('f.yaml is not as expected at a: a size is needed.');
});
