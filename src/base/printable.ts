/**
 * Makes text that may come from a file safe to print. Names in files of strangers can hold control characters, which move
 * the cursor of a terminal or change its title, marks that reverse the direction of what follows, line feeds, which look like
 * another message, and tens of thousands of letters.
 */

/**
 * Control characters, marks of direction, separators of lines, most characters without width, halves of characters, and the tags
 * of Unicode, which no font shows.
 */
const HIDDEN =
  /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}|[\u{e0000}-\u{e007f}]/gu;

/** A longer word loses its middle. Paths are rarely as long, and no sentence is. */
const LONGEST_WORD = 512;
/** A longer text loses its middle. */
const LONGEST_TEXT = 8192;

/** Writes a character as JSON and JavaScript do, so that JSON stays JSON. */
const escaped = (character: string): string =>
  Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }).join('');

/**
 * Returns text in which characters that cannot be seen are written as escapes, such as `\u001b`. Line feeds and tabs stay.
 * @example
 * showHidden('a\u202eb'); // 'a\\u202eb'
 */
export function showHidden(text: string): string {
  return text.replace(HIDDEN, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

/**
 * Returns text on one line, without characters that cannot be seen and without the middles of words and of texts that are too
 * long. All messages of errors, notices and cells of tables pass through this.
 */
export function printable(text: string): string {
  const line = text.replace(/[\r\n\t\u2028\u2029]+/g, ' ');
  const short = shortened(
    line.replace(/\S+/g, (word) => shortened(word, LONGEST_WORD)),
    LONGEST_TEXT,
  );
  // Last, since a cut may fall between the two halves of a character.
  return short.replace(HIDDEN, escaped);
}

/** A text of at most about `longest` characters, which says how many were left out of its middle. */
function shortened(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const [start, end] = [Math.floor(longest * 0.6), Math.floor(longest * 0.3)];
  return `${text.slice(0, start)}…[${text.length - start - end} more]…${text.slice(text.length - end)}`;
}
