/** One HTML file with everything inside: no script, no font, no image from elsewhere. */
import { drawBoxes } from '../detect/annotate.ts';
import type { Detection } from '../detect/detector.ts';
import { barChart } from './charts.ts';
import { pointsAgainst, type Variant } from './variants.ts';

/** An image with what each variant found in it. */
export interface Comparison {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** The encoded image and its media type. */
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly detections: readonly { readonly variant: string; readonly found: readonly Detection[] }[];
}

export interface ReportContent {
  readonly title: string;
  /** A sentence on what was measured, on what machine. */
  readonly summary: string;
  /** The first is what the others are compared with. */
  readonly variants: readonly Variant[];
  readonly comparisons: readonly Comparison[];
}

const STYLE = `
:root{--ink:#0f172a;--soft:#475569;--line:#e2e8f0;--paper:#fff;--ground:#f8fafc;--better:#047857;--worse:#b91c1c}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}h1{font-size:30px;margin:0 0 6px;letter-spacing:-.02em}h2{font-size:19px;margin:38px 0 12px}
p{color:var(--soft);margin:0 0 8px;max-width:78ch}.card{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:9px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-size:13px;color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}tr:last-child td{border-bottom:0}td small{color:var(--soft);display:block;white-space:normal;max-width:30ch;font-size:12.5px;line-height:1.35}
.change{font-size:13px;margin-left:6px;color:var(--soft)}.better{color:var(--better)}.worse{color:var(--worse)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(350px,1fr));gap:16px}.charts h3,.images h3{font-size:14px;margin:0 0 8px;font-weight:600}
.images{display:grid;gap:16px}.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:14px}figure{margin:0}figcaption{font-size:13px;color:var(--soft);margin-top:4px}
.picture{position:relative;line-height:0}.picture img,.picture svg{width:100%;height:auto;display:block;border-radius:6px}.picture svg{position:absolute;inset:0}
`;

export function renderReport(content: ReportContent): string {
  const { title, summary, variants, comparisons } = content;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body><main>
<h1>${escapeHtml(title)}</h1><p>${escapeHtml(summary)}</p>
<h2>Results</h2><div class="card">${resultTable(variants)}</div>
<h2>Charts</h2><div class="charts">${charts(variants)}</div>
<h2>The same images, in each precision</h2><p>Boxes at or above the usual threshold of 0.35, with their phrase and score.</p>
<div class="images">${comparisons.map(comparisonRow).join('')}</div>
</main></body></html>
`;
}

function resultTable(variants: readonly Variant[]): string {
  const [reference] = variants;
  if (!reference) return '';
  const rows = variants.map((variant) => {
    const ratio = (part: number, whole: number) =>
      variant === reference ? '' : change(`${(whole / part).toFixed(2)}×`, part <= whole);
    const difference = (figure: 'AP' | 'AP50') => {
      const value = pointsAgainst(variant, reference, figure);
      return variant === reference ? '' : change(`${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(2)}`, value >= 0);
    };
    return `<tr><td>${escapeHtml(variant.name)}<small>${escapeHtml(variant.description)}</small></td>
<td>${(variant.fileBytes / 1e6).toFixed(2)} MB${ratio(variant.fileBytes, reference.fileBytes)}</td>
<td>${(variant.peakMemoryBytes / 1e6).toFixed(0)} MB${ratio(variant.peakMemoryBytes, reference.peakMemoryBytes)}</td>
<td>${(variant.medianSeconds * 1000).toFixed(1)} ms${ratio(variant.medianSeconds, reference.medianSeconds)}</td>
<td>${(variant.figures.AP * 100).toFixed(2)}${difference('AP')}</td>
<td>${(variant.figures.AP50 * 100).toFixed(2)}${difference('AP50')}</td></tr>`;
  });
  const heading = ['Variant', 'File', 'Peak memory', 'Median latency', 'AP', 'AP50']
    .map((name) => `<th>${name}</th>`)
    .join('');
  return `<table><thead><tr>${heading}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

const change = (text: string, better: boolean) => `<span class="change ${better ? 'better' : 'worse'}">${text}</span>`;

function charts(variants: readonly Variant[]): string {
  const bars = (value: (variant: Variant) => number) =>
    variants.map((variant) => ({ name: variant.name, value: value(variant) }));
  const latency = variants.map(({ name, medianSeconds, runSeconds }) => ({
    name,
    value: medianSeconds * 1000,
    low: quantile(runSeconds, 0.1) * 1000,
    high: quantile(runSeconds, 0.9) * 1000,
  }));
  const drawn = [
    [
      'Average precision (AP, points)',
      barChart(
        'Average precision',
        '',
        bars(({ figures }) => figures.AP * 100),
        2,
      ),
    ],
    ['Latency, median and 10–90 % (ms)', barChart('Latency', 'ms', latency, 1)],
    [
      'File size (MB)',
      barChart(
        'File size',
        'MB',
        bars(({ fileBytes }) => fileBytes / 1e6),
        2,
      ),
    ],
    [
      'Peak memory of the process (MB)',
      barChart(
        'Peak memory',
        'MB',
        bars(({ peakMemoryBytes }) => peakMemoryBytes / 1e6),
        0,
      ),
    ],
  ];
  return drawn.map(([title, svg]) => `<div class="card"><h3>${title}</h3>${svg}</div>`).join('');
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * share)] ?? Number.NaN;
}

function comparisonRow(comparison: Comparison): string {
  const source = `data:${comparison.mediaType};base64,${Buffer.from(comparison.bytes).toString('base64')}`;
  const figures = comparison.detections.map(
    ({ variant, found }) =>
      `<figure><div class="picture"><img src="${source}" width="${comparison.width}" height="${comparison.height}" alt="${escapeHtml(comparison.name)}">${drawBoxes(comparison, found)}</div><figcaption>${escapeHtml(variant)}: ${found.length} found</figcaption></figure>`,
  );
  return `<div class="card"><h3>${escapeHtml(comparison.name)}</h3><div class="row">${figures.join('')}</div></div>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
