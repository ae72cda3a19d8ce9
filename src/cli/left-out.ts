/** Pictures and categories that a command could not use. It goes on without them, and its exit code is 1 at the end. */
import { notice } from './notices.ts';

/** Sentences that are printed; the others are counted. */
const MAX_PRINTED = 10;

let count = 0;

/** Starts to count anew, for a new command. */
export function forgetLeftOut(): void {
  count = 0;
}

/** Prints a sentence about something that is left out, and remembers that the command was not done with everything. */
export function leftOut(sentence: string): void {
  count++;
  if (count <= MAX_PRINTED) notice(sentence);
}

/** The sentence for the end of a command that has left something out; undefined if it has not. */
export function leftOutSummary(): string | undefined {
  if (count === 0) return undefined;
  const things = count === 1 ? '1 picture or category was' : `${count} pictures or categories were`;
  return `${things} left out, and the results are without; --skip-unreadable accepts that with the exit code 0.`;
}
