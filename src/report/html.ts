/** What a comparison of variants looks like. */
import { drawBoxes } from '../detect/annotate.ts';
import type { Detection } from '../detect/detector.ts';
import type { Inspection } from '../evaluate/inspect.ts';
import { barChart } from './charts.ts';
import { inspectionSection } from './inspection.ts';
import { escapeHtml, page } from './page.ts';
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
  /** What one of the variants is made of. */
  readonly inspected: { readonly name: string; readonly inspection: Inspection };
}

export function renderReport(content: ReportContent): string {
  const { title, summary, variants, comparisons, inspected } = content;
  return page(
    title,
    `<p>${escapeHtml(summary)}</p>
<h2>Results</h2><div class="card">${resultTable(variants)}</div>
<h2>Charts</h2><div class="charts">${charts(variants)}</div>
<h2>The same images, in each precision</h2><p>Boxes at or above the usual threshold of 0.35, with their phrase and score.</p>
<div class="images">${comparisons.map(comparisonRow).join('')}</div>
<h2>${escapeHtml(inspected.name)}, module by module</h2>${inspectionSection(inspected.inspection)}`,
  );
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
