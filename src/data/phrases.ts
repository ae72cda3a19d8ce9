/**
 * Phrases as people write them: a text in which commas, semicolons, line ends, periods or question marks separate the phrases, or
 * a list. In a list an item is one phrase, so that a name such as "St. Bernard" or "1.5 liter bottle" can be looked for.
 */
import { z } from 'zod';
import { checkValue, listOf, objectWith } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';

/** A phrase that is taken as it is, whatever punctuation is inside. */
export interface ExactPhrase {
  /** The phrase. */
  readonly exact: string;
  /** The noun by which errors and warnings call it; "phrase" by default. */
  readonly called?: string | undefined;
}

/** A phrase of a list: a text without separators, or one that is taken as it is. */
export type PhraseInput = string | ExactPhrase;

/** The phrases to look for: a text that `splitPhrases` splits, or a list. */
export type Phrases = string | readonly PhraseInput[];

/** The number of characters that a phrase may have. No model reads more than some hundred words of one. */
const LONGEST_PHRASE = 4096;
/** The number of characters that a text of phrases may have, and of bytes that a file of them may. */
export const LONGEST_TEXT = 1 << 22;

/** Punctuation that separates phrases wherever it stands in a text, that of Chinese, Japanese and Arabic included. */
const SEPARATOR = /[,;\n\r，；、。．｡،؛]/;
/** Punctuation that ends a phrase in a list too; a comma may be part of a name there. */
const SENTENCE_END = /[;\n\r；。．｡؛]/;
/** Punctuation that may be part of a name, see `endsPhrase`. */
const PERIODS = /[.?？]/;

/** Words that are written with a period and go on. */
const ABBREVIATION = /(?:^|[^\p{L}\p{N}])(?:st|mt|ft|mr|mrs|ms|dr|prof|vs)$/iu;
const LONGEST_ABBREVIATION = 5;

/** A phrase in quotation marks, up to the next separator; "" inside stands for a quotation mark. */
const QUOTED = /\s*["“”]((?:[^"“”]|"")*)["“”]\s*(?=[.?？,;\n\r，；、。．｡،؛]|$)/y;

/** Returns whether the period or question mark at `at` ends a phrase. Within a number, or behind a known abbreviation, it does not. */
function endsPhrase(text: string, at: number): boolean {
  if (text[at] !== '.') return true;
  const isDigit = (place: number) => /\p{N}/u.test(text[place] ?? '');
  if (isDigit(at - 1) && isDigit(at + 1)) return false;
  const goesOn = /^\s+[\p{L}\p{N}]/u.test(text.slice(at + 1, at + 8));
  return !(goesOn && ABBREVIATION.test(text.slice(Math.max(0, at - LONGEST_ABBREVIATION), at)));
}

/** The place of the first separator from `from` on; the length of the text if there is none. */
function nextSeparator(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const character = text[at] ?? '';
    if (SEPARATOR.test(character) || (PERIODS.test(character) && endsPhrase(text, at))) return at;
  }
  return text.length;
}

const phrasesSchema = z
  .string({ error: 'a text' })
  .max(LONGEST_TEXT, { error: `a text of at most ${LONGEST_TEXT} characters` });

/**
 * Splits a text into its phrases, such as "red circle . blue square ." or "red circle, blue square". A period within a number
 * or behind an abbreviation such as "St." is part of a phrase, and so is all that stands in quotation marks.
 *
 * @throws UsageError if a quotation mark is not closed, or if the text is no text or too long
 * @example
 * splitPhrases('St. Bernard, 1.5 liter bottle, "hat, red"'); // ['St. Bernard', '1.5 liter bottle', 'hat, red']
 */
export function splitPhrases(text: string): string[] {
  checkValue('The text of phrases', phrasesSchema, text);
  const phrases: string[] = [];
  for (let at = 0; at < text.length; ) {
    QUOTED.lastIndex = at;
    const quoted = QUOTED.exec(text)?.[1];
    const end = quoted === undefined ? nextSeparator(text, at) : QUOTED.lastIndex;
    const part = (quoted?.replaceAll('""', '"') ?? text.slice(at, end)).trim();
    if (quoted === undefined && part.startsWith('"') && part.split('"').length % 2 === 0)
      throw new UsageError(
        `A quotation mark in the phrases is not closed, at ${part.slice(0, 40)}; close it, or leave it out.`,
      );
    if (part !== '') phrases.push(part);
    at = end + 1;
  }
  return phrases;
}

/** A phrase as it is looked for. */
export interface NamedPhrase {
  /** The phrase, trimmed. */
  readonly name: string;
  /** The noun by which errors and warnings call it. */
  readonly called: string;
  /** A sentence that the user should know; undefined if all is well. */
  readonly warning?: string;
}

/**
 * The phrases of a text or a list, in their order.
 *
 * @throws UsageError if an item is no text, holds several phrases or is too long, or a quotation mark is not closed
 */
export function listPhrases(phrases: Phrases): NamedPhrase[] {
  const listed = namedPhrases(phrases);
  const long = listed.find(({ name }) => name.length > LONGEST_PHRASE);
  if (long)
    throw new UsageError(
      `The ${long.called} "${long.name.slice(0, 60)}…" has ${long.name.length} characters, more than the ${LONGEST_PHRASE} that a phrase may have; name what to find in a few words.`,
    );
  return listed;
}

function namedPhrases(phrases: Phrases): NamedPhrase[] {
  if (typeof phrases === 'string') return splitPhrases(phrases).map((name) => ({ name, called: 'phrase' }));
  // Callers in JavaScript may give anything.
  const given: unknown = phrases;
  if (!Array.isArray(given))
    throw new UsageError(`\`phrases\` must be a text or a list of texts, not ${typeof given}.`);
  return phrases.map((item, index) => {
    if (typeof item === 'string') return plainItem(item);
    if (typeof item !== 'object' || item === null || typeof item.exact !== 'string')
      throw new UsageError(`Item ${index + 1} of \`phrases\` must be a text or { exact: a text }, not ${typeof item}.`);
    return exactItem(item);
  });
}

const exactItem = ({ exact, called = 'phrase' }: ExactPhrase): NamedPhrase => ({ name: exact.trim(), called });

/** An item of a list, without the punctuation at its end. */
function plainItem(item: string): NamedPhrase {
  // Before the patterns below, whose time grows faster than the length.
  if (item.length > LONGEST_PHRASE) return { name: item, called: 'phrase' };
  const name = item.trim().replace(/[\s.?？,;，；、。．｡،؛]+$/u, '');
  for (let at = 0; at < name.length; at++) {
    const character = name[at] ?? '';
    if (!SENTENCE_END.test(character) && !(PERIODS.test(character) && endsPhrase(name, at))) continue;
    const short = JSON.stringify(name.slice(0, 60));
    throw new UsageError(
      `The item ${short} of the phrases has a "${character.trim() || 'line end'}" inside, which ends a phrase; list its parts as phrases of their own, or give { exact: ${short} } if it is one name.`,
    );
  }
  if (/[,，、،]/.test(name))
    return {
      name,
      called: 'phrase',
      warning: `The item "${name.slice(0, 60)}" has a comma and is looked for as one phrase; list its parts as phrases of their own if it is several.`,
    };
  return { name, called: 'phrase' };
}

const categoriesSchema = listOf('a list of categories', objectWith('a category with a name', 'name'));

/**
 * The phrases by which the categories of a data set are looked for: their names as they are.
 * @example
 * const prompt = await detector.encodePrompt(categoryPhrases(dataset.categories));
 */
export function categoryPhrases(categories: readonly { readonly name: string }[]): ExactPhrase[] {
  checkValue('The categories', categoriesSchema, categories);
  return categories.map(({ name }) => ({ exact: name, called: 'category' }));
}

/**
 * The name of a category without what is not part of a phrase, as GLIP and mmdetection clean the names of LVIS: what stands in
 * brackets is left out, and underscores become spaces.
 *
 * @example
 * cleanName('crow_(bird)'); // 'crow'
 * cleanName('traffic_light'); // 'traffic light'
 */
export function cleanName(name: string): string {
  checkValue('The name', z.string({ error: 'a text' }), name);
  const cleaned = name
    .replace(/\([^()]*\)|\[[^[\]]*\]/g, ' ')
    .replace(/_/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return cleaned === '' ? name : cleaned;
}
