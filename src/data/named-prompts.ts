/** Named prompts: several lists of phrases in one model, of which one is chosen by its name. */
import { z } from 'zod';
import { UsageError } from '../base/errors.ts';
import type { Phrases } from './phrases.ts';

/** The phrases of several prompts by their names. */
export type NamedPrompts = Readonly<Record<string, Phrases>>;

/** The number of prompts that a model may have. Each takes up to half a megabyte of its file. */
export const MOST_PROMPTS = 64;
const LONGEST_NAME = 64;
/** Signs that a shell, a list and an address carry, and no sign that is not seen. */
const NAME = /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N} ._-]*[\p{L}\p{M}\p{N}._-])?$/u;

/** The name of a prompt in a file. */
export const promptNameSchema: z.ZodString = z
  .string()
  .max(LONGEST_NAME, `a name must have at most ${LONGEST_NAME} characters`)
  .regex(NAME, 'a name must be of letters, digits, spaces, periods, hyphens and underscores');

/** What two names have in common that count as the same one. */
export const promptKey = (name: string): string => name.normalize('NFC').toLowerCase();

/** The first two of some names that count as the same one. */
export function sameNames(names: readonly string[]): readonly [string, string] | undefined {
  const known = new Map<string, string>();
  for (const name of names) {
    const earlier = known.get(promptKey(name));
    if (earlier !== undefined) return [earlier, name];
    known.set(promptKey(name), name);
  }
  return undefined;
}

/** @throws UsageError if there are too many names, one is no name of a prompt, or two are the same */
export function checkPromptNames(names: readonly string[]): void {
  if (names.length > MOST_PROMPTS)
    throw new UsageError(`There are ${names.length} prompts; a model can have ${MOST_PROMPTS}.`);
  for (const name of names) {
    const called = `The name "${name.slice(0, 60)}${name.length > 60 ? '…' : ''}" of a prompt`;
    if (name === '') throw new UsageError('A prompt has an empty name; give each a name of its own.');
    if (name.length > LONGEST_NAME)
      throw new UsageError(`${called} has ${name.length} characters; give one of at most ${LONGEST_NAME}.`);
    if (!NAME.test(name))
      throw new UsageError(
        `${called} is not possible; give one of letters, digits, spaces, periods, hyphens and underscores that begins with a letter or a digit.`,
      );
  }
  const [first, second] = sameNames(names) ?? [];
  if (first !== undefined)
    throw new UsageError(
      first === second
        ? `Two prompts are called "${first}"; give each a name of its own.`
        : `The prompts "${first}" and "${second}" count as one name; give each a name of its own.`,
    );
}
