/** The frame of all report pages: one HTML file that needs no script, font or image from elsewhere. */
import { createHash } from 'node:crypto';
import { type Markup, type MarkupValue, markup, trustedMarkup } from '../base/markup.ts';
import { STYLE } from './style.ts';
import { SCRIPT } from './table-script.ts';

/** Only the script of this file runs, and nothing is loaded from anywhere. */
const POLICY = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${createHash('sha256').update(SCRIPT).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/** A part of a page under a heading of its own. */
export interface Section {
  /** A word for the address of the section in the page; it is written into the page as it is. */
  readonly id: string;
  readonly title: string;
  readonly body: MarkupValue;
}

/**
 * A whole HTML page.
 * @param title the heading and the title of the window, as text
 * @param lead what comes first, below the heading
 * @param sections what follows; with several of them the page has a list of them at its beginning
 */
export function page(title: string, lead: MarkupValue, sections: readonly Section[] = []): string {
  const links = sections.map((section) => markup`<li><a href="#${section.id}">${section.title}</a></li>`);
  const contents = sections.length > 1 ? markup`<nav aria-label="Sections"><ul>${links}</ul></nav>` : '';
  const bodies = sections.map(
    ({ id, title: heading, body }) =>
      markup`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${heading}</h2>${body}</section>\n`,
  );
  return `<!doctype html>\n${markup`<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${title}</title><style>${trustedMarkup(STYLE)}</style></head><body><a class="skip" href="#content">Skip to the content</a><div class="page">
<main id="content"><h1>${title}</h1>${lead}${contents}
${bodies}</main>
</div><script>${trustedMarkup(SCRIPT)}</script></body></html>
`}`;
}

/** A column of a table: the heading, and whether the cells hold running text, which is left-aligned and wrapped. */
interface Column {
  readonly heading: string;
  readonly isText?: boolean;
}

/** A table in a card. */
export interface TableContent {
  /** What the table shows, which is its caption. */
  readonly caption: string;
  readonly columns: readonly (string | Column)[];
  /** The cells of each row; the first one is the heading of the row. */
  readonly rows: readonly (readonly MarkupValue[])[];
  /** The number of a row that stands out. */
  readonly chosen?: number | undefined;
}

/**
 * A table in a card, which scrolls in itself where the page is narrow. The first column is left-aligned; the others are, by
 * default, right-aligned for numbers.
 */
export function tableCard({ caption, columns, rows, chosen }: TableContent): Markup {
  const known = columns.map((column) => (typeof column === 'string' ? { heading: column } : column));
  const attribute = (column: Column | undefined) => (column?.isText ? markup` class="text"` : '');
  const heading = known.map((column) =>
    column.heading === '' ? markup`<td></td>` : markup`<th scope="col"${attribute(column)}>${column.heading}</th>`,
  );
  const body = rows.map((cells, row) => {
    const shown = cells.map((cell, index) =>
      index === 0 ? markup`<th scope="row">${cell}</th>` : markup`<td${attribute(known[index])}>${cell}</td>`,
    );
    return markup`<tr${row === chosen ? markup` class="chosen"` : ''}>${shown}</tr>`;
  });
  return markup`<div class="card scroll" role="region" aria-label="${caption}" tabindex="0"><table class="sortable"><caption><span>${caption}</span></caption><thead><tr>${heading}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/** A chart in a card under its heading. */
export function chartCard(heading: string, chart: Markup): Markup {
  return markup`<div class="card"><h3>${heading}</h3>${chart}</div>`;
}

/** What is folded until the reader asks for it, or prints the page. */
export function folded(summary: string, body: MarkupValue): Markup {
  return markup`<details><summary>${summary}</summary>${body}</details>`;
}
