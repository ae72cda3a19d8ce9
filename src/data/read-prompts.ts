/** Named prompts from a file. */
import { z } from 'zod';
import type { NamedPrompts } from './named-prompts.ts';
import { readPhraseLists } from './read-phrase-lists.ts';

const phrase = z.string().trim().min(1, 'a phrase must not be empty');
const promptsSchema = z
  .record(z.string(), z.array(phrase).min(1, 'a prompt needs at least one phrase'))
  .refine((prompts) => Object.keys(prompts).length > 0, 'there must be at least one prompt with its phrases');

/**
 * Reads prompts from a YAML or JSON file: lists of phrases by the names of the prompts. Each phrase is taken as it is.
 *
 * @throws UsageError if the file does not exist; InputError if it is neither YAML nor JSON, or not of that form
 * @example
 * await specializeModel({ model: 'tiny.onnx', output: 'yard.onnx', prompts: await readPrompts('prompts.yaml') });
 */
export async function readPrompts(path: string): Promise<NamedPrompts> {
  const prompts = await readPhraseLists(promptsSchema, path);
  return Object.fromEntries(
    Object.entries(prompts).map(([name, phrases]) => [
      name,
      phrases.map((exact) => ({ exact, called: `phrase of ${path}` })),
    ]),
  );
}
