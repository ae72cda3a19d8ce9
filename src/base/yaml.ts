/** YAML of files that strangers may have written. */
import { CST, Lexer, LineCounter, parseDocument } from 'yaml';
import { messageOf } from './errors.ts';

/**
 * The limit of YAML's aliases, as they are written and as they expand: nested ones let a small file expand without bound, and each
 * is looked for in the whole text.
 */
const MOST_ALIASES = 100;
/** The deepest nesting of lists and maps. Deeper ones could exhaust the stack, within which V8 ends the process at some places. */
const DEEPEST = 200;
/** The most parts of a text, such as words, brackets and signs. A list of the names of 20,000 classes has some 60,000. */
const MOST_PARTS = 400_000;

/** Signs that begin an entry of a list or a map where there are no brackets. Several on a line are nested in each other. */
const BEGINNINGS = new Set(['seq-item-ind', 'explicit-key-ind', 'map-value-ind']);

/**
 * Parses a text of YAML. The library warns of odd anchors and keys by printing lines of the text to the terminal, which it must
 * not: a stranger may have written them, and the schema that follows says what is wrong.
 * @throws an error if it is not YAML, whose message is the reason in one line
 */
export function parseYaml(text: string): unknown {
  checkExtent(text);
  const lineCounter = new LineCounter();
  // Pretty errors repeat the line of each error, which takes quadratic time and memory for many errors in one line.
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'error', lineCounter });
  const [error] = document.errors;
  if (error) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    throw new Error(`${messageOf(error).replace(/[:.]$/, '')} at line ${line}, column ${col}`, { cause: error });
  }
  return document.toJS({ maxAliasCount: MOST_ALIASES });
}

/**
 * Goes through the parts of a text once, without building anything of them.
 * @throws an error if there are more parts, more aliases or deeper lists and maps than in any file that is written for dino8
 */
function checkExtent(text: string): void {
  let [parts, aliases, deepest] = [0, 0, 0];
  const nesting = new Nesting();
  for (const part of new Lexer().lex(text)) {
    const type = CST.tokenType(part);
    if (++parts > MOST_PARTS) throw new Error(`it has more than ${MOST_PARTS} words and signs`);
    if (type === 'alias' && ++aliases > MOST_ALIASES) throw new Error(`it has more than ${MOST_ALIASES} aliases (*)`);
    deepest = Math.max(deepest, nesting.after(type, part.length));
  }
  if (deepest > DEEPEST) throw new Error('its lists are nested too deep');
}

/** Counts how many lists and maps may be in each other at a place of a text, by its parts in turn. */
class Nesting {
  #inBrackets = 0;
  #onLine = 0;
  #indentation = 0;

  /** The depth behind a part of this type and length. */
  after(type: string | null, length: number): number {
    if (type === 'newline') [this.#onLine, this.#indentation] = [0, 0];
    else if (type === 'space' && this.#onLine === 0) this.#indentation = length;
    else if (type === 'flow-seq-start' || type === 'flow-map-start') this.#inBrackets++;
    else if (type === 'flow-seq-end' || type === 'flow-map-end') this.#inBrackets = Math.max(this.#inBrackets - 1, 0);
    else if (type !== null && BEGINNINGS.has(type) && this.#inBrackets === 0) this.#onLine++;
    // An entry in another one is indented by at least one space.
    return this.#inBrackets + this.#onLine + this.#indentation;
  }
}
