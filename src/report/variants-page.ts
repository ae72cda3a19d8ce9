/** The report page of a compression: the same model in several precisions, measured and drawn side by side. */
import { type Markup, markup } from '../base/markup.ts';
import { type Estimate, isChance, quantile } from '../base/statistics.ts';
import { drawBoxes } from '../detect/annotate.ts';
import type { Detection } from '../detect/base-detector.ts';
import type { Inspection } from '../evaluate/inspect.ts';
import { CHANCE, points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import type { OutputFigure } from '../models/family.ts';
import { barChart } from './charts.ts';
import { inspectionSection } from './inspection-page.ts';
import { chartCard, page, tableCard } from './page.ts';
import { planTable } from './plan-table.ts';
import type { Variant } from './variants.ts';

/** An image with the detections of each variant. */
export interface ShownImage {
  readonly name: string;
  /** The size in pixels. */
  readonly width: number;
  readonly height: number;
  /** The encoded image and its media type, such as `image/jpeg`. */
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** One entry for each variant, in the order of `ReportContent.variants`. */
  readonly detections: readonly { readonly variant: string; readonly found: readonly Detection[] }[];
}

/** Everything that the page shows. Texts are plain text, not HTML. */
export interface ReportContent {
  readonly title: string;
  /** A sentence that says what was measured, and on which machine. */
  readonly summary: string;
  /** The first variant is the reference that the others are compared with. */
  readonly variants: readonly Variant[];
  readonly images: readonly ShownImage[];
  /** The meaning of the figures in `agreement`, in the order of their columns. */
  readonly outputFigures: readonly OutputFigure[];
  /** The modules of one of the variants. */
  readonly inspected: { readonly name: string; readonly inspection: Inspection };
}

/** Renders a compression as one HTML file. */
export function renderReport(content: ReportContent): string {
  const { title, summary, variants, outputFigures, images, inspected } = content;
  return page(
    title,
    markup`<p>${summary}</p>
<h2>Results</h2>${resultTable(variants)}
<h2>Charts</h2><div class="charts">${charts(variants)}</div>
${agreementSection(variants, outputFigures)}
<h2>Quantized layers</h2>${planTable(variants)}
<h2>The same images, in each precision</h2><p>Boxes at or above the usual threshold of 0.35, with their phrase and score.</p>
<div class="images">${images.map(imageRow)}</div>
<h2>${inspected.name}, module by module</h2>${inspectionSection(inspected.inspection)}`,
  );
}

const megabytes = (bytes: number, digits: number): string => `${(bytes / 1e6).toFixed(digits)} MB`;

function resultTable(variants: readonly Variant[]): Markup {
  const [reference] = variants;
  const rows = variants.map((variant) => {
    if (!reference) return [];
    const isReference = variant === reference;
    const ratio = (part: number, whole: number) =>
      isReference ? '' : change(`${(whole / part).toFixed(2)}×`, part <= whole);
    const precision = (figure: 'AP' | 'AP50') => {
      const interval = variant.intervals[figure];
      return markup`${points(variant.figures[figure])}${interval ? markup`<small>${pointsInterval(interval)}</small>` : ''}`;
    };
    const { fileBytes, peakMemoryBytes, medianSeconds } = variant;
    return [
      markup`${variant.name}<small>${variant.description}</small>`,
      markup`${megabytes(fileBytes, 2)}${ratio(fileBytes, reference.fileBytes)}`,
      markup`${megabytes(peakMemoryBytes, 0)}${ratio(peakMemoryBytes, reference.peakMemoryBytes)}`,
      markup`${(medianSeconds * 1000).toFixed(1)} ms${ratio(medianSeconds, reference.medianSeconds)}`,
      precision('AP'),
      precision('AP50'),
      isReference ? '' : precisionChange(variant.change?.AP),
    ];
  });
  const table = tableCard(
    [
      'Variant',
      'File',
      'Peak memory',
      'Median latency',
      'AP',
      'AP50',
      `Change of AP${reference ? ` against ${reference.name}` : ''}`,
    ],
    rows,
  );
  return markup`${table}<p>Below each AP and each change is its 95 % confidence interval: how far other images of the same kind would move it. A change whose interval contains 0 is ${CHANCE}.</p>`;
}

/** A change of AP in points. It has the colour of a gain or a loss only if it is more than chance. */
function precisionChange(difference: Estimate | undefined): Markup {
  if (!difference) return markup`–<small>too few images to tell</small>`;
  const value = signedPoints(difference.value);
  const colour = isChance(difference) ? markup`<span>${value}</span>` : change(value, difference.value > 0);
  return markup`${colour}<small>${signedInterval(difference)}</small><small>${verdict(difference)}</small>`;
}

/** How far the outputs of each variant are from those of the reference. */
function agreementSection(variants: readonly Variant[], outputFigures: readonly OutputFigure[]): Markup {
  const [first] = variants.flatMap(({ agreement }) => agreement ?? []);
  const [reference] = variants;
  if (!first || !reference) return markup``;
  const rows = variants.flatMap(({ name, agreement }) =>
    agreement
      ? [
          [
            name,
            `${agreement.count}`,
            ...outputFigures.map(({ key, perfect }) => (agreement.figures[key] ?? perfect).toFixed(4)),
          ],
        ]
      : [],
  );
  const headings = outputFigures.map(({ title, perfect }) => `Mean ${title} (${perfect} if equal)`);
  return markup`<h2>Agreement with ${reference.name}</h2><p>Both models ran on the same ${first.inputs} images. Each result of the float model is compared with the result of the same query.</p>${tableCard(['Variant', 'Results', ...headings], rows)}`;
}

const change = (text: string, isBetter: boolean): Markup =>
  markup`<span class="change ${isBetter ? 'better' : 'worse'}">${text}</span>`;

function charts(variants: readonly Variant[]): Markup[] {
  const bars = (value: (variant: Variant) => number) =>
    variants.map((variant) => ({ name: variant.name, value: value(variant) }));
  const precision = variants.map(({ name, figures, intervals }) => ({
    name,
    value: 100 * figures.AP,
    ...(intervals.AP && { low: 100 * intervals.AP.low, high: 100 * intervals.AP.high }),
  }));
  const fileSizes = bars(({ fileBytes }) => fileBytes / 1e6);
  const memory = bars(({ peakMemoryBytes }) => peakMemoryBytes / 1e6);
  const latency = variants.map(({ name, medianSeconds, runSeconds }) => ({
    name,
    value: medianSeconds * 1000,
    low: quantile(runSeconds, 0.1) * 1000,
    high: quantile(runSeconds, 0.9) * 1000,
  }));
  return [
    chartCard('Average precision with 95 % interval (AP, points)', barChart('Average precision', '', precision, 2)),
    chartCard('Latency, median and 10–90 % (ms)', barChart('Latency', 'ms', latency, 1)),
    chartCard('File size (MB)', barChart('File size', 'MB', fileSizes, 2)),
    chartCard('Peak memory of the process (MB)', barChart('Peak memory', 'MB', memory, 0)),
  ];
}

/** One image, once for each variant, with the boxes that the variant found drawn over it. */
function imageRow(image: ShownImage): Markup {
  const { name, width, height, mediaType, bytes, detections } = image;
  const source = `data:${mediaType};base64,${Buffer.from(bytes).toString('base64')}`;
  const figures = detections.map(
    ({ variant, found }) =>
      markup`<figure><div class="picture"><img src="${source}" width="${width}" height="${height}" alt="${name}">${drawBoxes(image, found)}</div><figcaption>${variant}: ${found.length} found</figcaption></figure>`,
  );
  return markup`<div class="card"><h3>${name}</h3><div class="row">${figures}</div></div>`;
}
