/** JSON as annotation tools write it, which is not always JSON. */

import { stat } from 'node:fs/promises';
import { InputError, messageOf } from '../../base/errors.ts';
import { readText } from '../../base/files.ts';
import { type JsonPart, readJsonLists } from '../../base/json-lists.ts';
import type { WorkOptions } from '../../base/progress.ts';

/** Files from this size on, in bytes, are read a part at a time. To parse one as a whole takes many times its size of memory. */
const LARGE_FILE = 1 << 22;

/** How a large file is read. */
export interface LooseListsOptions extends Pick<WorkOptions, 'onProgress' | 'signal'> {
  /** The members of the object at the top that are read; by default the file is a list. */
  readonly lists?: readonly string[] | undefined;
  /** The number of bytes that are read at a time. */
  readonly chunkBytes?: number | undefined;
}

/** True if a file is so large that it should be read by `readLooseLists`. A file that does not exist is not. */
export const isLargeJson = async (path: string): Promise<boolean> =>
  ((await stat(path).catch(() => undefined))?.size ?? 0) >= LARGE_FILE;

/**
 * Reads a JSON file with two leniencies. NaN and infinities, which Python writes, become the texts "NaN" and "Infinity".
 * Whole numbers of 16 digits and more, such as 64-bit ids, become texts too, because JavaScript would round them.
 * @throws UsageError or InputError if the file cannot be read; InputError if it is not JSON even so
 */
export async function readLooseJson(path: string): Promise<unknown> {
  return parseLooseJson(await readText(path), path);
}

/** Reads the lists of a JSON file of any size part by part, with the leniencies of `readLooseJson`. @throws as `readJsonLists` */
export function readLooseLists(path: string, options: LooseListsOptions = {}): AsyncGenerator<JsonPart> {
  return readJsonLists(path, { ...options, parse: parseLooseJson });
}

/** Parses a text as `readLooseJson` does. `source` names it in errors. */
export function parseLooseJson(text: string, source: string): unknown {
  const exact = LONG_NUMBER.test(text) ? quoteOutsideOfTexts(text, LONG_NUMBERS) : text;
  try {
    return JSON.parse(exact);
  } catch (error) {
    if (PYTHON_NUMBER.test(text)) {
      try {
        return JSON.parse(quoteOutsideOfTexts(exact, PYTHON_NUMBERS));
      } catch {
        // The first error tells more than one about the changed text.
      }
    }
    throw new InputError(`${source} is not valid JSON (${messageOf(error)}).`);
  }
}

// Digits behind a point are no whole number.
const LONG_NUMBER = /(?<![\w.+-])-?\d{16,}(?![\w.])/;
const LONG_NUMBERS = new RegExp(LONG_NUMBER, 'g');
const PYTHON_NUMBER = /\b(?:NaN|Infinity)\b/;
const PYTHON_NUMBERS = /\bNaN\b|-?\bInfinity\b/g;

/**
 * Puts quotation marks around what matches outside of the texts of a JSON text. One expression for texts and numbers would take
 * quadratic time, or too much of the stack, for texts that do not end.
 */
function quoteOutsideOfTexts(text: string, pattern: RegExp): string {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const start = text.indexOf('"', at);
    const bareEnd = start < 0 ? text.length : start;
    pieces.push(text.slice(at, bareEnd).replace(pattern, '"$&"'));
    at = start < 0 ? text.length : endOfText(text, start);
    pieces.push(text.slice(bareEnd, at));
  }
  return pieces.join('');
}

/** The place behind the text that begins at `start`, or the end. */
function endOfText(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}
