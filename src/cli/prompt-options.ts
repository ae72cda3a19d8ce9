/** The options by which commands take named prompts. */
import { Option } from '@commander-js/extra-typings';
import { append } from '../base/append.ts';
import { UsageError } from '../base/errors.ts';
import { checkPromptNames, type NamedPrompts } from '../data/named-prompts.ts';
import type { Phrases } from '../data/phrases.ts';
import { readPrompts } from '../data/read-prompts.ts';
import { notice } from './notices.ts';
import { optionGroup } from './option-group.ts';
import { repeatable } from './phrase-options.ts';

/** The values of the options that make named prompts. */
export type PromptsValues = {
  readonly prompts?: readonly string[] | undefined;
  readonly promptsFile?: readonly string[] | undefined;
};

/** Adds `--prompts` and `--prompts-file` to a command. `promptsOf` reads them. */
export const addPromptsOptions = optionGroup<PromptsValues>(() => [
  repeatable(
    '--prompts <name=phrases>',
    'a prompt with a name, as in "safety=helmet, person without helmet"; repeat it for each prompt of the model, and choose one by "dino8 detect --prompt safety"',
  ),
  repeatable(
    '--prompts-file <file>',
    'a file with named prompts, in YAML or JSON: a list of phrases for each name, as in {"safety": ["helmet", "person"]}',
  ),
]);

/** `--prompt <name>`, of a model that has several prompts. */
export const promptOption = () =>
  new Option(
    '--prompt <name>',
    'the name of a prompt, of a model that was made with --prompts ("dino8 inspect" lists them)',
  );

/**
 * The named prompts of all options together; undefined if none is given.
 * @throws UsageError if one has no name, or a name is not possible or used twice, or a file does not exist; InputError if a file is not
 * of its format
 */
export async function promptsOf({ prompts, promptsFile }: PromptsValues): Promise<NamedPrompts | undefined> {
  if (!prompts && !promptsFile) return undefined;
  const all = (prompts ?? []).map(namedPrompt);
  for (const path of promptsFile ?? []) append(all, Object.entries(await readPrompts(path)));
  checkPromptNames(all.map(([name]) => name));
  return Object.fromEntries(all);
}

/** What looks like a prompt with a name is a phrase for `--phrases`, in which an equals sign is a sign like any other. */
export function noteNames(phrases: readonly string[] | undefined): void {
  const named = phrases?.find((text) => /^\s*[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}=/u.test(text));
  if (named !== undefined)
    notice(
      `--phrases "${named.slice(0, 60)}" has no names, so the equals sign is part of a phrase; --prompts names prompts.`,
    );
}

/** @throws UsageError if there is no name before the phrases */
function namedPrompt(text: string): [name: string, phrases: Phrases] {
  const at = text.indexOf('=');
  if (at < 0)
    throw new UsageError(
      `--prompts "${text.slice(0, 60)}" has no name; write one before the phrases, as in "safety=helmet, person".`,
    );
  return [text.slice(0, at).trim(), text.slice(at + 1)];
}
