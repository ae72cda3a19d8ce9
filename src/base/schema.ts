/** Validation of input with zod: data from files is checked once, when it is read. */
import type { z } from 'zod';
import { InputError } from './errors.ts';
import type { JsonPart } from './json-lists.ts';
import { placeOf, sayIssue } from './schema-issue.ts';

/** Messages in plain words, where the schema has none of its own. */
const SAYING = { error: sayIssue };

/**
 * Checks a value against a schema.
 * @param source the name of the value in error messages
 * @throws InputError, which names the first wrong field and the number of others
 */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, source: string): z.output<T> {
  const result = schema.safeParse(value, SAYING);
  if (result.success) return result.data;
  throw notAsExpected(result.error, source, []);
}

/**
 * Checks items of a list of a file against a schema, as `parseWith` does.
 * @param part the items, and where in the file they are
 */
export function parseItems<T extends z.ZodType>(schema: T, part: JsonPart, source: string): z.output<T>[] {
  return part.items.map((item, index) => {
    const result = schema.safeParse(item, SAYING);
    if (result.success) return result.data;
    throw notAsExpected(result.error, source, [part.list, part.start + index]);
  });
}

function notAsExpected({ issues }: z.ZodError, source: string, place: readonly PropertyKey[]): InputError {
  const [first, ...more] = issues;
  const { path: inner, message } = first ? placeOf(first) : { path: [], message: 'it is not valid' };
  const path = [...place, ...inner];
  const where = path.length > 0 ? ` at ${path.map(String).join('.')}` : '';
  const others = more.length ? ` (and ${more.length} more)` : '';
  return new InputError(`${source} is not as expected${where}: ${message}${others}.`);
}
