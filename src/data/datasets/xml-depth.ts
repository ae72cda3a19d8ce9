/** The depth of the elements of an XML text, which is known before it is parsed: parsers exhaust the stack with deep ones. */

/** The beginnings and ends of comments, texts and instructions of XML, in which no elements are. */
const PASSED_OVER = [
  ['<!--', '-->'],
  ['<![CDATA[', ']]>'],
  ['<?', '?>'],
] as const;

/**
 * The number of elements that are in each other at the deepest place. It takes time in proportion to the text.
 * @example
 * xmlDepth('<a><b/><b><c/></b></a>'); // 2: elements without content have no depth
 */
export function xmlDepth(text: string): number {
  let [depth, deepest] = [0, 0];
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) {
    const passed = PASSED_OVER.find(([opening]) => text.startsWith(opening, at));
    if (passed) {
      const end = text.indexOf(passed[1], at + passed[0].length);
      if (end < 0) break;
      at = end;
    } else if (text[at + 1] === '/') depth = Math.max(depth - 1, 0);
    else if (text[at + 1] !== '!') {
      at = endOfTag(text, at);
      if (text[at - 1] !== '/') deepest = Math.max(deepest, ++depth);
    }
  }
  return deepest;
}

/** The place of the bracket that closes a tag, which may also be in the quotation marks of an attribute's value. */
function endOfTag(text: string, start: number): number {
  let quote = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at] ?? '';
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (character === '>') return at;
  }
  return text.length;
}
