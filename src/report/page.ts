/** One HTML file with everything inside: no script, no font, no image from elsewhere. */

const STYLE = `
:root{--ink:#0f172a;--soft:#475569;--line:#e2e8f0;--paper:#fff;--ground:#f8fafc;--better:#047857;--worse:#b91c1c}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}h1{font-size:30px;margin:0 0 6px;letter-spacing:-.02em}h2{font-size:19px;margin:38px 0 12px}
p{color:var(--soft);margin:0 0 8px;max-width:78ch}.card{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:9px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-size:13px;color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}tr:last-child td{border-bottom:0}th.text,td.text{text-align:left;white-space:normal}td small{color:var(--soft);display:block;white-space:normal;max-width:30ch;font-size:12.5px;line-height:1.35}
.change{font-size:13px;margin-left:6px;color:var(--soft)}.better{color:var(--better)}.worse{color:var(--worse)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(350px,1fr));gap:16px}.charts h3,.images h3{font-size:14px;margin:0 0 8px;font-weight:600}
.images{display:grid;gap:16px}.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:14px}figure{margin:0}figcaption{font-size:13px;color:var(--soft);margin-top:4px}
.picture{position:relative;line-height:0}.picture img,.picture svg{width:100%;height:auto;display:block;border-radius:6px}.picture svg{position:absolute;inset:0}
`;

/** `body` is HTML already; `title` is text. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body><main>
<h1>${escapeHtml(title)}</h1>${body}
</main></body></html>
`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
