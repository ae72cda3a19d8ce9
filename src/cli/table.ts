/** Compact tables that fit the width of the terminal. */
import Table from 'cli-table3';
import { append, maximum } from '../base/append.ts';
import { printable } from '../base/printable.ts';

/** The space between two columns. */
const GAP = 2;
/** The width below which a column is not shortened. */
const MIN_WIDTH = 16;

/** The direction in which the cells of a column are aligned. */
export type Alignment = 'left' | 'right';

/**
 * A table with a line for each row and a rule below the heading. On a terminal, text columns that do not fit are wrapped at
 * spaces; texts without spaces, such as paths, lose their middle. Elsewhere nothing is shortened.
 *
 * @param heading the titles of the columns
 * @param rows the cells
 * @param alignments by default the first column is text, aligned left, and the others are numbers, aligned right
 * @param width the width to fit into, in characters
 */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[] = heading.map((_, index) => (index === 0 ? 'left' : 'right')),
  width = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY,
): string {
  const cells = rows.map((row) => row.map(printable));
  const natural = heading.map((title, column) =>
    maximum([title, ...cells.map((row) => row[column] ?? '')].map(length)),
  );
  const widths = fitColumns(natural, alignments, width);
  const drawn = new Table({
    head: [...heading],
    chars: { ...NO_BORDERS, mid: '─', 'mid-mid': '─'.repeat(GAP), middle: ' '.repeat(GAP) },
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 0 },
    colAligns: [...alignments],
    colWidths: widths,
    wordWrap: true,
  });
  append(
    drawn,
    cells.map((row) => row.map((cell, column) => shorten(cell, widths[column] ?? 0))),
  );
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  right: '',
  'right-mid': '',
};

const length = (text: string): number => [...text].length;

/** The widths of the columns: the widest text columns give way until the table fits, or none can give way. */
function fitColumns(natural: readonly number[], alignments: readonly Alignment[], width: number): number[] {
  const widths = [...natural];
  for (;;) {
    const excess = widths.reduce((sum, each) => sum + each, GAP * (widths.length - 1)) - width;
    const texts = widths.flatMap((each, column) => (alignments[column] === 'left' && each > MIN_WIDTH ? [column] : []));
    const [widest] = texts.toSorted((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0));
    if (excess <= 0 || widest === undefined) return widths;
    const next = Math.max(
      MIN_WIDTH,
      ...texts.filter((column) => column !== widest).map((column) => widths[column] ?? 0),
    );
    const current = widths[widest] ?? 0;
    // Down to the second widest column, and then together with it, a character at a time.
    widths[widest] = Math.max(current - excess, next < current ? next : current - 1);
  }
}

/** Texts with spaces are left to be wrapped; others keep a third at their start and the rest at their end. */
function shorten(cell: string, width: number): string {
  const characters = [...cell];
  if (cell.includes(' ') || characters.length <= width) return cell;
  const start = Math.floor((width - 1) / 3);
  return `${characters.slice(0, start).join('')}…${characters.slice(characters.length - (width - 1 - start)).join('')}`;
}
