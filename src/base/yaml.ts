/** YAML of files that strangers may have written. */
import { parse } from 'yaml';

/** The limit of expanded YAML aliases: nested aliases let a small file expand without bound. */
const MOST_ALIASES = 100;

/**
 * Parses a text of YAML. The library warns of odd anchors and keys by printing lines of the text to the terminal, which it must
 * not: a stranger may have written them, and the schema that follows says what is wrong.
 * @throws an error if it is not YAML, whose message is the reason in one line
 */
export function parseYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: MOST_ALIASES, logLevel: 'error' });
  } catch (error) {
    const isTooDeep = error instanceof Error && error.message.includes('call stack');
    // The library adds lines of the text, with a mark below the place.
    const [reason = ''] = (error instanceof Error ? error.message : '').split('\n');
    throw new Error(isTooDeep ? 'its lists are nested too deep' : reason.replace(/[:.]\s*$/, ''), { cause: error });
  }
}
