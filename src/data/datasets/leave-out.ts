/** Leaves out pictures that cannot be read and categories that are not phrases, or refuses them before a run begins. */
import { InputError } from '../../base/errors.ts';

/** The treatment of pictures and categories that cannot be used. By default they are an error before the work begins. */
export interface LeaveOutOptions {
  /** Leaves out pictures that do not exist or cannot be read, and categories whose names are no phrases, with a notice. */
  readonly skipUnreadable?: boolean | undefined;
  /**
   * Called with one sentence for each picture that cannot be read and each category whose name is no phrase, which is then left
   * out. Without it, and without `skipUnreadable`, they are an error.
   */
  readonly onLeftOut?: ((sentence: string) => void) | undefined;
  /** Called with one sentence for each thing that the caller should know and that is no error. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

/** The number of sentences or names that a message lists. */
const LISTED = 3;

/** The first of some names, and how many others there are. */
export function listSome(names: readonly string[]): string {
  const others = names.length - LISTED;
  return `${names.slice(0, LISTED).join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
}

/**
 * Leaves out what the sentences are about. Each sentence ends without a period.
 * @param what the plural of what is left out, such as "pictures"
 * @throws InputError if that is not allowed
 */
export function leaveOut(
  sentences: readonly string[],
  what: string,
  { skipUnreadable = false, onLeftOut, onNotice }: LeaveOutOptions,
): void {
  if (sentences.length === 0) return;
  const some = sentences.slice(0, LISTED).join('; ');
  const summary = sentences.length === 1 ? some : `${sentences.length} ${what} cannot be used: ${some}`;
  if (skipUnreadable) onNotice?.(`${summary}; left out.`);
  else if (onLeftOut) for (const sentence of sentences) onLeftOut(`${sentence}; left out.`);
  else throw new InputError(`${summary}; set \`skipUnreadable\` to leave out what cannot be used.`);
}
