/** Phrases from a file. */
import { z } from 'zod';
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { readText } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import { type ExactPhrase, LONGEST_TEXT } from './phrases.ts';

/**
 * Reads phrases from a file: one a line, or a list of strings in JSON. Each is taken as it is.
 *
 * @throws UsageError if the file does not exist or holds no phrases; InputError if it is not UTF-8 text or a wrong list
 * @example
 * const prompt = await detector.encodePrompt(await readPhrases('phrases.txt'));
 */
export async function readPhrases(path: string): Promise<ExactPhrase[]> {
  const text = (await readText(path, LONGEST_TEXT)).replace(/^\uFEFF/, '');
  const isJson = /^\s*[[{]/.test(text) && (path.toLowerCase().endsWith('.json') || /\]\s*$/.test(text));
  const names = isJson ? parseList(text, path) : text.split(/\r\n|\n|\r/).filter((line) => line.trim() !== '');
  if (names.length === 0) throw new UsageError(`${path} holds no phrases; write one a line, or a list in JSON.`);
  return names.map((exact) => ({ exact, called: `phrase of ${path}` }));
}

function parseList(text: string, path: string): string[] {
  try {
    return parseWith(z.array(z.string()), JSON.parse(text), path);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path} is not valid JSON (${messageOf(error)}).`);
  }
}
