/** The frame of all report pages: one HTML file that needs no script, font or image from elsewhere. */
import { type Markup, type MarkupValue, markup, trustedMarkup } from '../base/markup.ts';

const STYLE = `
:root{--ink:#0f172a;--soft:#475569;--line:#e2e8f0;--paper:#fff;--ground:#f8fafc;--better:#047857;--worse:#b91c1c}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}h1{font-size:30px;margin:0 0 6px;letter-spacing:-.02em}h2{font-size:19px;margin:38px 0 12px}
p{color:var(--soft);margin:0 0 8px;max-width:78ch}.card{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:9px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-size:13px;color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}tr:last-child td{border-bottom:0}th.text,td.text{text-align:left;white-space:normal;overflow-wrap:anywhere}td.text{min-width:16ch;font-size:13.5px}td small{color:var(--soft);display:block;white-space:normal;max-width:30ch;font-size:12.5px;line-height:1.35}
.change{font-size:13px;margin-left:6px;color:var(--soft)}.better{color:var(--better)}.worse{color:var(--worse)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(350px,1fr));gap:16px}.charts h3,.images h3{font-size:14px;margin:0 0 8px;font-weight:600}
.images{display:grid;gap:16px}.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:14px}figure{margin:0}figcaption{font-size:13px;color:var(--soft);margin-top:4px}
.picture{position:relative;line-height:0}.picture img,.picture svg{width:100%;height:auto;display:block;border-radius:6px}.picture svg{position:absolute;inset:0}
`;

/**
 * A whole HTML page.
 * @param title the heading and the title of the window, as text
 */
export function page(title: string, body: MarkupValue): string {
  return `<!doctype html>\n${markup`<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${title}</title><style>${trustedMarkup(STYLE)}</style></head><body><main>
<h1>${title}</h1>${body}
</main></body></html>
`}`;
}

/** A column of a table: the heading, and whether the cells hold running text, which is left-aligned and wrapped. */
export interface Column {
  readonly heading: string;
  readonly isText?: boolean;
}

/** A table in a card. The first column is left-aligned; the others are, by default, right-aligned for numbers. */
export function tableCard(columns: readonly (string | Column)[], rows: readonly (readonly MarkupValue[])[]): Markup {
  const known = columns.map((column) => (typeof column === 'string' ? { heading: column } : column));
  const attribute = (column: Column | undefined) => (column?.isText ? markup` class="text"` : '');
  const heading = known.map((column) => markup`<th${attribute(column)}>${column.heading}</th>`);
  const body = rows.map(
    (cells) => markup`<tr>${cells.map((cell, index) => markup`<td${attribute(known[index])}>${cell}</td>`)}</tr>`,
  );
  return markup`<div class="card"><table><thead><tr>${heading}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/** A chart in a card under its heading. */
export function chartCard(heading: string, chart: Markup): Markup {
  return markup`<div class="card"><h3>${heading}</h3>${chart}</div>`;
}
