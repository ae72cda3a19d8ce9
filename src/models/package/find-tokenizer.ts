/** Finds the files of a checkpoint's tokenizer. Trainings often save none, and files of weights have none inside. */
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists, isDirectory } from '../../base/files.ts';
import type { TokenizerFiles } from '../tokenizer-schema.ts';
import { checkTokenizer } from '../tokenizer-schema.ts';
import { readCompanion } from './companion-json.ts';
import { FILES } from './package-folder.ts';

/** A tokenizer with where it is from. */
export interface FoundTokenizer {
  readonly files: TokenizerFiles;
  /** The folder that holds the files. */
  readonly folder: string;
  /** Sentences that a user should see. */
  readonly notices: readonly string[];
}

/**
 * Reads the tokenizer of a checkpoint: from the folder that was named for it, or else beside the checkpoint, or else from the
 * folder above, where a training keeps what its checkpoints share.
 *
 * @param source names the checkpoint in errors
 * @param folder the checkpoint's folder
 * @param given the folder that was named
 * @param vocabularySize the number of tokens that the model knows
 * @throws UsageError if there is no tokenizer; InputError if it is damaged or has tokens that the model does not know
 */
export async function findTokenizer(
  source: string,
  folder: string,
  given: string | undefined,
  vocabularySize: number,
): Promise<FoundTokenizer> {
  const found = given === undefined ? await nearest(source, folder) : await checked(given);
  const read = (key: 'tokenizer' | 'tokenizerConfig') => readCompanion(join(found, FILES[key][0]));
  const files = { tokenizer: await read('tokenizer'), config: await read('tokenizerConfig') };
  checkTokenizer(files, found);
  const size = sizeOf(files.tokenizer);
  if (size !== undefined && size > vocabularySize)
    throw new InputError(
      `The tokenizer in ${found} has ${size} tokens, and ${source} knows only ${vocabularySize}; it is that of another model.`,
    );
  const notices: string[] = [];
  if (found !== folder && given === undefined)
    notices.push(`${source} has no tokenizer beside it; that in ${found} is taken.`);
  if (found !== folder && size !== undefined && size < vocabularySize)
    notices.push(
      `The tokenizer in ${found} has ${size} tokens of the ${vocabularySize} that ${source} knows; is it the right one?`,
    );
  return { files, folder: found, notices };
}

const holdsTokenizer = (folder: string) => exists(join(folder, FILES.tokenizer[0]));

async function checked(given: string): Promise<string> {
  if (!(await isDirectory(given)))
    throw new UsageError(`\`tokenizer\` must be a folder with ${FILES.tokenizer[0]}, and ${given} is none.`);
  if (await holdsTokenizer(given)) return given;
  throw new UsageError(`${given}, which \`tokenizer\` names, has no ${FILES.tokenizer[0]}${await oldForm(given)}.`);
}

async function nearest(source: string, folder: string): Promise<string> {
  const above = dirname(resolve(folder));
  for (const each of [folder, above]) if (await holdsTokenizer(each)) return each;
  throw new UsageError(
    `${source} has no ${FILES.tokenizer[0]} beside it or in the folder above${await oldForm(folder)}; name a folder that has it with \`tokenizer\`, such as that of the model from which the training began, or of bert-base-uncased.`,
  );
}

/** What to do about the form in which tokenizers were saved before there was `tokenizer.json`. */
async function oldForm(folder: string): Promise<string> {
  return (await exists(join(folder, 'vocab.txt')))
    ? ', but a vocab.txt, which AutoTokenizer.from_pretrained and save_pretrained turn into one'
    : '';
}

const tokenizerSchema = z.object({
  model: z.object({ vocab: z.record(z.string(), z.number()) }),
  added_tokens: z.array(z.object({ id: z.number() })).default([]),
});

/** The number of tokens, which is one more than the largest number; undefined if the file says no numbers, which its reader refuses. */
function sizeOf(tokenizer: unknown): number | undefined {
  const { data } = tokenizerSchema.safeParse(tokenizer);
  if (!data) return undefined;
  let largest = -1;
  for (const id of Object.values(data.model.vocab)) largest = Math.max(largest, id);
  for (const { id } of data.added_tokens) largest = Math.max(largest, id);
  return largest + 1;
}
