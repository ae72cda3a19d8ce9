/** The command that was given: for a shell, to run it again, and as reports show it. */
import { basename, isAbsolute } from 'node:path';

/** A word that a shell takes as it is. */
const PLAIN = /^[\w./:=,@%+-]+$/;

let given: readonly string[] = [];

/** Notes the arguments of the running command. Those of the process are others where a parent process sends them. */
export function noteArguments(words: readonly string[]): void {
  given = words;
}

/** The running command as a line for a shell, by which it can be started again. */
export const commandLine = (): string => ['dino8', ...given.map(quoted)].join(' ');

/** The running command for a report. It is passed on, so that absolute paths lose the folders that they are in. */
export function reportedCommandLine(): string {
  const words = given.map((word) => {
    const [option, value] = /^(--[\w-]+=)(.*)$/s.exec(word)?.slice(1) ?? ['', word];
    return `${option}${quoted(isAbsolute(value ?? '') ? basename(value ?? '') : (value ?? ''))}`;
  });
  return ['dino8', ...words].join(' ');
}

const quoted = (word: string): string => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
