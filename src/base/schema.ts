/** Validation of input with zod: data from files is checked once, when it is read. */
import type { z } from 'zod';
import { InputError } from './errors.ts';
import { readJson } from './files.ts';

/**
 * Checks a value against a schema.
 * @param source the name of the value in error messages
 * @throws InputError, which names the first wrong field and the number of others
 */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, source: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [first, ...more] = result.error.issues;
  const where = first?.path.length ? ` at ${first.path.join('.')}` : '';
  const others = more.length ? ` (and ${more.length} more)` : '';
  throw new InputError(`${source} is not as expected${where}: ${first?.message ?? 'invalid'}${others}.`);
}

/** Reads a JSON file and checks it against a schema. @throws UsageError or InputError if it cannot be read or is wrong */
export async function readJsonAs<T extends z.ZodType>(
  schema: T,
  path: string,
  maxBytes?: number,
): Promise<z.output<T>> {
  return parseWith(schema, await readJson(path, maxBytes), path);
}
