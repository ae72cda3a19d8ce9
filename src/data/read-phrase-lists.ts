/** Lists of phrases by name, from a file of YAML or JSON. */
import type { z } from 'zod';
import { InputError, messageOf } from '../base/errors.ts';
import { readText } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import { parseYaml } from '../base/yaml.ts';
import { LONGEST_TEXT } from './phrases.ts';

/**
 * Reads a file of YAML or JSON.
 * @param schema what must be in it
 * @throws UsageError if the file does not exist; InputError if it is neither YAML nor JSON, or not of that form
 */
export async function readPhraseLists<T extends z.ZodType>(schema: T, path: string): Promise<z.output<T>> {
  const text = await readText(path, LONGEST_TEXT);
  let content: unknown;
  try {
    content = parseYaml(text);
  } catch (error) {
    throw new InputError(`${path} is not valid YAML (${messageOf(error)}).`);
  }
  return parseWith(schema, content, path);
}
