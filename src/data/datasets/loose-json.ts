/** JSON as annotation tools write it, which is not always JSON. */

import { stat } from 'node:fs/promises';
import { InputError, messageOf } from '../../base/errors.ts';
import { readText } from '../../base/files.ts';
import { type JsonPart, readJsonLists } from '../../base/json-lists.ts';
import type { WorkOptions } from '../../base/progress.ts';

/** Files from this size on, in bytes, are read a part at a time. To parse one as a whole takes many times its size of memory. */
const LARGE_FILE = 1 << 25;

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
function parseLooseJson(text: string, source: string): unknown {
  const exact = LONG_NUMBER.test(text) ? quoted(text, TEXT_OR_LONG_NUMBER) : text;
  try {
    return JSON.parse(exact);
  } catch (error) {
    if (PYTHON_NUMBER.test(text)) {
      try {
        return JSON.parse(quoted(exact, TEXT_OR_PYTHON_NUMBER));
      } catch {
        // The first error tells more than one about the changed text.
      }
    }
    throw new InputError(`${source} is not valid JSON (${messageOf(error)}).`);
  }
}

// A text, which stays as it is, or a bare word or number. Digits behind a point are no whole number.
const LONG_NUMBER = /(?<![\w.+-])-?\d{16,}(?![\w.])/;
const TEXT_OR_LONG_NUMBER = /"(?:[^"\\]|\\.)*"|(?<![\w.+-])-?\d{16,}(?![\w.])/g;
const PYTHON_NUMBER = /\b(?:NaN|Infinity)\b/;
const TEXT_OR_PYTHON_NUMBER = /"(?:[^"\\]|\\.)*"|\bNaN\b|-?\bInfinity\b/g;

const quoted = (text: string, pattern: RegExp): string =>
  text.replace(pattern, (part) => (part.startsWith('"') ? part : `"${part}"`));
