/** The command that was given, as reports show it. */
import { basename, isAbsolute } from 'node:path';

/** A word that a shell takes as it is. */
const PLAIN = /^[\w./:=,@%+-]+$/;

/** The command of this process. A report is passed on, so that absolute paths lose the folders that they are in. */
export function commandLine(argv: readonly string[] = process.argv): string {
  const words = argv.slice(2).map((word) => {
    const [option, value] = /^(--[\w-]+=)(.*)$/s.exec(word)?.slice(1) ?? ['', word];
    return `${option}${quoted(isAbsolute(value ?? '') ? basename(value ?? '') : (value ?? ''))}`;
  });
  return ['dino8', ...words].join(' ');
}

const quoted = (word: string): string => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
