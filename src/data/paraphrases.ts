/** Other phrases for the categories of a data set, from a file. */
import { z } from 'zod';
import { InputError, messageOf } from '../base/errors.ts';
import { readText } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import { parseYaml } from '../base/yaml.ts';
import { LONGEST_TEXT } from './phrases.ts';

/** Synonyms and paraphrases by the name of the category that they stand for. */
export type Paraphrases = Readonly<Record<string, readonly string[]>>;

const phrase = z.string().trim().min(1, 'a phrase must not be empty');
const paraphrasesSchema = z
  .record(z.string(), z.array(phrase).min(1, 'a category needs at least one paraphrase'))
  .refine(
    (categories) => Object.keys(categories).length > 0,
    'there must be at least one category with its paraphrases',
  );

/**
 * Reads paraphrases from a YAML or JSON file: lists of phrases by the names of categories.
 *
 * @throws UsageError if the file does not exist; InputError if it is neither YAML nor JSON, or not of that form
 */
export async function readParaphrases(path: string): Promise<Paraphrases> {
  const text = await readText(path, LONGEST_TEXT);
  let content: unknown;
  try {
    content = parseYaml(text);
  } catch (error) {
    throw new InputError(`${path} is not valid YAML (${messageOf(error)}).`);
  }
  return parseWith(paraphrasesSchema, content, path);
}
