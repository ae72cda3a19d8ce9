/**
 * From phrases to the tokens of the text encoder. A prompt is "[CLS] a . b c . [SEP]"; one that exceeds the model's text length
 * is split into chunks of whole phrases, each a prompt of its own. Phrases do not attend to each other, so nothing changes.
 */
import { UsageError } from '../../base/errors.ts';
import type { PhraseSpan, Prompt, PromptChunk } from '../detection-family.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { DELIMITERS } from './phrase-masks.ts';

const [CLS, SEP, PERIOD] = DELIMITERS;
const MAX_PHRASES = 10_000;

/** Splits a text into its phrases, such as "red circle . blue square ." or "red circle, blue square". */
export function splitPhrases(text: string): string[] {
  return text
    .split(/[.,;\n]/)
    .map((phrase) => phrase.trim())
    .filter(Boolean);
}

/**
 * Tokenizes phrases into as few chunks as possible.
 *
 * @param phrases a list, or a text that `splitPhrases` splits
 * @param longest the maximum number of tokens of a chunk, [CLS] and [SEP] included
 * @throws UsageError if there is no phrase, or one that has no words or is too long
 */
export function createPrompt(phrases: readonly string[] | string, tokenizer: Tokenizer, longest: number): Prompt {
  const names = typeof phrases === 'string' ? splitPhrases(phrases) : phrases.map((phrase) => phrase.trim());
  if (names.length === 0)
    throw new UsageError('The prompt has no phrases; name what to find, as in "red circle, blue square".');
  if (names.length > MAX_PHRASES)
    throw new UsageError(`The prompt has ${names.length} phrases; at most ${MAX_PHRASES} are taken at once.`);
  const room = longest - 3; // [CLS], the period, [SEP]
  const encoded = names.map((name) => {
    const tokens = encodePhrase(name, tokenizer);
    if (tokens.length > room)
      throw new UsageError(`The phrase "${name.slice(0, 60)}…" has ${tokens.length} tokens; at most ${room} fit.`);
    return tokens;
  });
  return { phrases: names, chunks: fillChunks(encoded, longest) };
}

/** The tokens of one phrase. A period or question mark inside ("St. Bernard") would end it, so it is left out. */
function encodePhrase(name: string, tokenizer: Tokenizer): number[] {
  const tokens = tokenizer
    .encode(name.toLowerCase())
    .filter((token) => !DELIMITERS.some((delimiter) => delimiter === token));
  if (tokens.length === 0 || !/[\p{L}\p{N}]/u.test(name))
    throw new UsageError(`The phrase "${name}" has no words; name what to find, as in "red circle".`);
  return tokens;
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
