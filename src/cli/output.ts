/** Printing: results go to the standard output, and everything else to the standard error. */
import { showHidden } from '../base/printable.ts';

/** Prints a part of the result. What it took from files cannot control the terminal. */
export function print(text: string): void {
  process.stdout.write(`${showHidden(text)}\n`);
}

/** Prints the whole result as JSON. */
export const printJson = (value: unknown): void => print(JSON.stringify(value, undefined, 2));
