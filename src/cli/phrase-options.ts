/** The options by which commands take phrases. */
import { Option } from '@commander-js/extra-typings';
import { append } from '../base/append.ts';
import { UsageError } from '../base/errors.ts';
import { type ExactPhrase, splitPhrases } from '../data/phrases.ts';
import { readPhrases } from '../data/read-phrases.ts';
import { notice } from './notices.ts';
import { optionGroup } from './option-group.ts';

/** The values of the options for phrases: a type, since the types of several helpers are put together. */
export type PhraseValues = {
  readonly phrases?: readonly string[] | undefined;
  readonly phrase?: readonly string[] | undefined;
  readonly phrasesFile?: readonly string[] | undefined;
};

/** An option that adds up where it is repeated. */
export const repeatable = (flags: string, description: string) =>
  new Option(flags, description).argParser((text: string, earlier: readonly string[] | undefined) => [
    ...(earlier ?? []),
    text,
  ]);

/** Adds `--phrases`, `--phrase` and `--phrases-file` to a command. `phrasesOf` reads them. */
export const addPhraseOptions = optionGroup<PhraseValues>(() => [
  repeatable(
    '--phrases <list>',
    'the phrases to look for, separated by commas, semicolons, periods or line ends; one in "quotation marks" may have them inside. Repeated, it adds more',
  ),
  repeatable('--phrase <phrase>', 'one phrase, taken as it is, such as "St. Bernard"; repeat it for more'),
  repeatable('--phrases-file <file>', 'a file with one phrase on each line, or a list of them in JSON'),
]);

/**
 * The phrases of all options together; undefined if none is given.
 * @throws UsageError if they hold no phrase, or a file does not exist; InputError if a file is not of its format
 */
export async function phrasesOf({ phrases, phrase, phrasesFile }: PhraseValues): Promise<ExactPhrase[] | undefined> {
  if (!phrases && !phrase && !phrasesFile) return undefined;
  const listed = (phrases ?? []).flatMap(splitPhrases).map((exact) => ({ exact }));
  const own = (phrase ?? []).map((exact) => ({ exact }));
  for (const { exact } of own) warnOfSentences(exact);
  const read: ExactPhrase[] = [];
  for (const path of phrasesFile ?? []) append(read, await readPhrases(path));
  const all = [...listed, ...own, ...read];
  if (all.length === 0)
    throw new UsageError('The prompt has no phrases; name what to find, as in --phrases "red circle, blue square".');
  return all;
}

/** A prompt in the style of the original tool, "a cat. a dog.", is several phrases, which --phrase does not split. */
function warnOfSentences(phrase: string): void {
  const count = splitPhrases(phrase).length;
  if (count > 1 && /[.?]\s*$/.test(phrase))
    notice(`"${phrase.slice(0, 60)}" is looked for as one phrase; --phrases makes ${count} phrases of it.`);
}
