/** JSON as annotation tools write it, which is not always JSON. */

import { InputError, messageOf } from '../../base/errors.ts';
import { readText } from '../../base/files.ts';

/** The largest file of annotations that is read, in bytes. A text of Node.js cannot be much longer. */
const MAX_ANNOTATION_BYTES = 1 << 29;

/**
 * Reads a JSON file with two leniencies. NaN and infinities, which Python writes, become the texts "NaN" and "Infinity".
 * Whole numbers of 16 digits and more, such as 64-bit ids, become texts too, because JavaScript would round them.
 * @throws UsageError or InputError if the file cannot be read; InputError if it is not JSON even so
 */
export async function readLooseJson(path: string): Promise<unknown> {
  const text = await readText(path, MAX_ANNOTATION_BYTES);
  return parseLooseJson(text, path);
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
