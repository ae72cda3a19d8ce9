import type { z } from 'zod';
import { readJson } from './files.ts';
import { parseWith } from './schema.ts';

/** Reads a JSON file and checks it against a schema. @throws UsageError or InputError if it cannot be read or is wrong */
export async function readJsonAs<T extends z.ZodType>(
  schema: T,
  path: string,
  maxBytes?: number,
): Promise<z.output<T>> {
  return parseWith(schema, await readJson(path, maxBytes), path);
}
