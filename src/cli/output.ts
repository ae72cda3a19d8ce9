/** Printing: results go to the standard output, and everything else to the standard error. */
import { showHidden } from '../base/printable.ts';
import { notice } from './notices.ts';

/** Prints a part of the result. What it took from files cannot control the terminal. */
export function print(text: string): void {
  process.stdout.write(`${showHidden(text)}\n`);
}

/** Prints the whole result as JSON, and says so if it has numbers that JSON does not have, which become null. */
export function printJson(value: unknown): void {
  const lost: string[] = [];
  const text = JSON.stringify(
    value,
    (name, inner: unknown) => {
      if (typeof inner === 'number' && !Number.isFinite(inner)) lost.push(`${name}: ${inner}`);
      return inner;
    },
    2,
  );
  print(text);
  if (lost.length > 0)
    notice(
      `JSON has no number that is infinite or unknown, so that ${lost.length} of this result are null in it, such as ${lost[0]}.`,
    );
}
