/** Other phrases for the categories of a data set, from a file. */
import { z } from 'zod';
import { readPhraseLists } from './read-phrase-lists.ts';

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
export const readParaphrases = (path: string): Promise<Paraphrases> => readPhraseLists(paraphrasesSchema, path);
