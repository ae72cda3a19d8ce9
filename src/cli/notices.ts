/** Sentences on the standard error: errors and notices. The library names its options; the command line names its flags. */
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { capitalized } from '../base/capitalized.ts';
import { DINO8_WARNING } from '../base/errors.ts';
import { printable } from '../base/printable.ts';

let running: CommandUnknownOpts | undefined;

/** Says which command runs, so that the sentences can name its flags. */
export function setRunningCommand(command: CommandUnknownOpts): void {
  running = command;
}

/**
 * A sentence of the library in which each option in backticks, such as `maxDrop`, is replaced by its flag: --max-drop. A setting
 * of a data set that an option names, such as `split` of `calibration`, has a flag of its own: --calibration-split.
 */
export function withFlags(sentence: string): string {
  const flagOf = (name: string) => running?.options.find((each) => each.attributeName() === name)?.long;
  const own = sentence.replace(/`([a-zA-Z]+)` of `([a-zA-Z]+)`/g, (quoted, setting: string, of: string) => {
    return flagOf(`${of}${capitalized(setting)}`) ?? quoted;
  });
  return own.replace(/`([a-zA-Z]+)`/g, (quoted, name: string) => flagOf(name) ?? quoted);
}

/** Prints the library's warnings as notices, in place of Node.js, which would add its own prefix and advice. */
export function printWarnings(): void {
  const others = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === DINO8_WARNING) notice(warning.message);
    else for (const listener of others) listener(warning);
  });
}

/** Prints a sentence that the user should know and that is no error. */
export function notice(sentence: string): void {
  process.stderr.write(`dino8: note: ${printable(withFlags(sentence))}\n`);
}
