/** zod at the border: what comes from a file is checked once, and trusted inside. */
import type { z } from 'zod';
import { InputError } from './errors.ts';
import { readJson } from './files.ts';

/** `value` as `schema` sees it. @throws InputError naming `source`, the first wrong place and how many more. */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, source: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [first, ...more] = result.error.issues;
  const where = first?.path.length ? ` at ${first.path.join('.')}` : '';
  const others = more.length ? ` (and ${more.length} more)` : '';
  throw new InputError(`${source} is not as expected${where}: ${first?.message ?? 'invalid'}${others}.`);
}

/** Reads a JSON file of at most `maxBytes` that must follow `schema`. */
export async function readJsonAs<T extends z.ZodType>(
  schema: T,
  path: string,
  maxBytes?: number,
): Promise<z.output<T>> {
  return parseWith(schema, await readJson(path, maxBytes), path);
}
