/** Printing: results go to the standard output, and everything else to the standard error. */

/** Prints a part of the result. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints the whole result as JSON. */
export const printJson = (value: unknown): void => print(JSON.stringify(value, undefined, 2));
