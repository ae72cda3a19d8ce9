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
  checkNumber(text);
  checkDepth(text);
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

/** The kinds of the parts of a text, without building anything of them. */
function* partsOf(text: string): Generator<readonly [type: string | null, length: number]> {
  for (const part of new Lexer().lex(text)) yield [CST.tokenType(part), part.length];
}

/** @throws an error if there are more parts or aliases than in any file that is written for dino8 */
function checkNumber(text: string): void {
  let [parts, aliases] = [0, 0];
  for (const [type] of partsOf(text)) {
    if (++parts > MOST_PARTS) throw new Error(`it has more than ${MOST_PARTS} words and signs`);
    if (type === 'alias' && ++aliases > MOST_ALIASES) throw new Error(`it has more than ${MOST_ALIASES} aliases (*)`);
  }
}

/** @throws an error if lists and maps are nested deeper than in any file that is written for dino8 */
function checkDepth(text: string): void {
  let [inBrackets, onLine, indentation] = [0, 0, 0];
  for (const [type, length] of partsOf(text)) {
    if (type === 'newline') [onLine, indentation] = [0, 0];
    else if (type === 'space' && onLine === 0) indentation = length;
    else if (type === 'flow-seq-start' || type === 'flow-map-start') inBrackets++;
    else if (type === 'flow-seq-end' || type === 'flow-map-end') inBrackets = Math.max(inBrackets - 1, 0);
    else if (type !== null && BEGINNINGS.has(type) && inBrackets === 0) onLine++;
    // An entry in another one is indented by at least one space.
    if (inBrackets + onLine + indentation > DEEPEST) throw new Error('its lists are nested too deep');
  }
}
