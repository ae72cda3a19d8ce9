/**
 * From phrases to the tokens of the text encoder. A prompt is "[CLS] a . b c . [SEP]"; one that exceeds the model's text length
 * is split into chunks of whole phrases, each a prompt of its own. Phrases do not attend to each other, so nothing changes.
 *
 * The model was trained to take a period or a question mark for the end of a phrase, so those inside a phrase ("St. Bernard") are
 * left out: its tokens are those of "st bernard". This holds wherever phrases are read.
 */
import { UsageError } from '../../base/errors.ts';
import { listPhrases, type NamedPhrase, type Phrases } from '../../data/phrases.ts';
import type { PhraseSpan, Prompt, PromptChunk } from '../detection-family.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { DELIMITERS } from './phrase-masks.ts';

const [CLS, SEP, PERIOD] = DELIMITERS;
const MAX_PHRASES = 10_000;

const isDelimiter = (token: number | undefined): boolean => DELIMITERS.some((delimiter) => delimiter === token);

/**
 * Tokenizes phrases into as few chunks as possible.
 *
 * @param phrases a list, or a text that `splitPhrases` splits
 * @param longest the maximum number of tokens of a chunk, [CLS] and [SEP] included
 * @throws UsageError if there is no phrase, or one that has no words, holds several phrases or is too long
 */
export function createPrompt(phrases: Phrases, tokenizer: Tokenizer, longest: number): Prompt {
  const listed = listPhrases(phrases);
  if (listed.length === 0)
    throw new UsageError('The prompt has no phrases; name what to find, as in "red circle, blue square".');
  if (listed.length > MAX_PHRASES)
    throw new UsageError(`The prompt has ${listed.length} phrases; at most ${MAX_PHRASES} are taken at once.`);
  const room = longest - 3; // [CLS], the period, [SEP]
  const encoded = listed.map((phrase) => {
    const tokens = encodePhrase(phrase, tokenizer);
    if (tokens.length > room)
      throw new UsageError(
        `The ${phrase.called} "${phrase.name.slice(0, 60)}…" has ${tokens.length} tokens; at most ${room} fit.`,
      );
    return tokens;
  });
  const warnings = [
    ...listed.flatMap(({ warning }) => warning ?? []),
    ...innerDelimiters(listed),
    ...unknownWords(listed, encoded, tokenizer),
    ...equalPhrases(listed, encoded),
  ];
  return { phrases: listed.map(({ name }) => name), chunks: fillChunks(encoded, longest), warnings };
}

/** The tokens of one phrase, none of which would end it. */
function encodePhrase({ name, called }: NamedPhrase, tokenizer: Tokenizer): number[] {
  const tokens = tokenizer.encode(name.toLowerCase()).filter((token) => !isDelimiter(token));
  if (tokens.length === 0 || !/[\p{L}\p{N}]/u.test(name))
    throw new UsageError(`The ${called} "${name}" has no words; name what to find, as in "red circle".`);
  return tokens;
}

/** A sentence about the phrases that have periods or question marks inside; one for all, because a data set may have many. */
function innerDelimiters(listed: readonly NamedPhrase[]): string[] {
  const withInner = listed.filter(({ name }) => {
    const first = name.search(/[.?]/);
    return first >= 0 && /[\p{L}\p{N}]/u.test(name.slice(first));
  });
  const [first] = withInner;
  if (!first) return [];
  const such = withInner.length === 1 ? `the ${first.called}` : `${withInner.length} phrases, such as`;
  return [
    `In ${such} "${first.name.slice(0, 60)}", periods and question marks are left out, because the model takes them for the end of a phrase.`,
  ];
}

/** Sentences about phrases whose words the tokenizer mostly does not know. */
function unknownWords(listed: readonly NamedPhrase[], encoded: readonly number[][], { unknown }: Tokenizer): string[] {
  return listed.flatMap(({ name, called }, index) => {
    const tokens = encoded[index] ?? [];
    const count = tokens.filter((token) => token === unknown).length;
    if (count === 0 || count * 2 < tokens.length) return [];
    return `The ${called} "${name.slice(0, 60)}" is mostly unknown to the model's tokenizer (${count} of ${tokens.length} tokens), so it will hardly be found; use other words, in a language that the model was trained on.`;
  });
}

/** Sentences about phrases that are the same to the model: they differ in case, accents, spaces or unknown words only. */
function equalPhrases(listed: readonly NamedPhrase[], encoded: readonly number[][]): string[] {
  const first = new Map<string, string>();
  return listed.flatMap(({ name, called }, index) => {
    const key = encoded[index]?.join(' ') ?? '';
    const earlier = first.get(key);
    if (earlier === undefined) {
      first.set(key, name);
      return [];
    }
    const same = earlier === name ? 'is listed twice' : `is the same to the model as "${earlier.slice(0, 60)}"`;
    return `The ${called} "${name.slice(0, 60)}" ${same}; each box goes to one of the two only.`;
  });
}

/** Puts as many whole phrases into each chunk as fit. */
function fillChunks(encoded: readonly number[][], longest: number): PromptChunk[] {
  const chunks: PromptChunk[] = [];
  let tokens: number[] = [CLS];
  let spans: PhraseSpan[] = [];
  const close = () => {
    chunks.push({ tokens: [...tokens, SEP], phrases: spans });
    tokens = [CLS];
    spans = [];
  };
  for (const [phrase, own] of encoded.entries()) {
    if (tokens.length + own.length + 2 > longest) close();
    spans.push({ phrase, begin: tokens.length, end: tokens.length + own.length });
    tokens.push(...own, PERIOD);
  }
  close();
  return chunks;
}
