/** The sections of a report about what was measured of every variant: accuracy, speed and memory. */
import { megabytes, milliseconds } from '../base/format.ts';
import { markup } from '../base/markup.ts';
import { isChance, quantile } from '../base/statistics.ts';
import { CHANCE, points, pointsInterval, signedInterval, signedPoints } from '../evaluate/points.ts';
import { FIGURES } from '../evaluate/score-matches.ts';
import type { OutputFigure } from '../models/family.ts';
import { type Bar, barChart, intervalChart, type Tone } from './charts.ts';
import { chartCard, folded, type Section, tableCard } from './page.ts';
import type { ReportedVariant } from './variants.ts';
import { speedGain, type Verdict } from './verdict.ts';

/** The tone of the marks of a variant. */
function toneOf(variants: readonly ReportedVariant[], { recommendation }: Verdict) {
  return ({ name }: ReportedVariant): Tone =>
    name === recommendation.variant ? 'chosen' : name === variants[0]?.name ? 'reference' : 'other';
}

/** COCO's figures with their intervals, and their change. Nothing if no variant was scored. */
export function accuracySections(
  variants: readonly ReportedVariant[],
  outputFigures: readonly OutputFigure[],
  verdict: Verdict,
): Section[] {
  const scored = variants.filter(({ figures }) => figures);
  const [reference] = scored;
  if (!reference) return [];
  const tone = toneOf(variants, verdict);
  const ranged = (value: number, interval: { low: number; high: number } | undefined) => ({
    value: 100 * value,
    ...(interval && { low: 100 * interval.low, high: 100 * interval.high }),
  });
  const precision = scored.map((variant): Bar => {
    const { name, figures, intervals } = variant;
    return { name, ...ranged(figures?.AP ?? 0, intervals?.AP), tone: tone(variant) };
  });
  const changes = scored.flatMap(({ name, change }): Bar[] => {
    if (!change?.AP) return [];
    const meaning: Tone = isChance(change.AP) ? 'chance' : change.AP.value > 0 ? 'better' : 'worse';
    return [{ name, ...ranged(change.AP.value, change.AP), tone: meaning }];
  });
  const allowed = -verdict.recommendation.allowedDrop;
  const charts = [
    chartCard('AP with its 95 % interval (points)', intervalChart('Average precision in points', precision, 2)),
    ...(changes.length > 0
      ? [
          chartCard(
            `Change of AP with its 95 % interval; dashed: the allowed drop (points)`,
            intervalChart('Change of average precision in points', changes, 2, [0, allowed]),
          ),
        ]
      : []),
  ];
  const rows = FIGURES.filter(({ name }) => scored.some(({ figures }) => (figures?.[name] ?? -1) >= 0)).map(
    ({ name }) => [
      name,
      ...scored.map(({ figures, intervals, change }) => {
        const interval = intervals?.[name];
        const difference = change?.[name];
        const shown =
          difference && isChance(difference) ? 'chance' : difference && difference.value > 0 ? 'better' : 'worse';
        return markup`${points(figures?.[name] ?? -1)}${interval ? markup`<small>${pointsInterval(interval)}</small>` : ''}${difference ? markup`<small class="${shown}">${signedPoints(difference.value)} (${signedInterval(difference)})</small>` : ''}`;
      }),
    ],
  );
  const table = tableCard({
    caption: "COCO's figures in points, with their 95 % intervals and their changes",
    columns: ['Figure', ...scored.map(({ name }) => name)],
    rows,
  });
  return [
    {
      id: 'accuracy',
      title: 'Accuracy',
      body: markup`<p>A 95 % interval says how far other images of the same kind would move a figure. A change whose interval contains 0 is ${CHANCE}, and is grey.</p>
<div class="charts">${charts}</div>${table}${agreement(scored, reference, outputFigures)}`,
    },
  ];
}

/** How far the outputs of each variant are from those of the reference. */
function agreement(
  variants: readonly ReportedVariant[],
  reference: ReportedVariant,
  outputFigures: readonly OutputFigure[],
) {
  const [first] = variants.flatMap(({ agreement: each }) => each ?? []);
  if (!first) return '';
  const rows = variants.flatMap(({ name, agreement: each }) =>
    each
      ? [
          [
            name,
            `${each.count}`,
            ...outputFigures.map(({ key }) => (each.count > 0 ? (each.figures[key]?.toFixed(4) ?? '–') : '–')),
          ],
        ]
      : [],
  );
  const table = tableCard({
    caption: `Agreement of the outputs with ${reference.name}, on the same ${first.inputs} images`,
    columns: [
      'Variant',
      'Results',
      ...outputFigures.map(({ title, perfect }) => `Mean ${title} (${perfect} if equal)`),
    ],
    rows,
  });
  return markup`<p>Each result of ${reference.name}, such as a box, is compared with the result in its place.</p>${table}`;
}

/** Latency with its spread, memory and file size. Nothing if no variant was measured. */
export function costSections(variants: readonly ReportedVariant[], verdict: Verdict): Section[] {
  const tone = toneOf(variants, verdict);
  const bars = (value: (variant: ReportedVariant) => number | undefined) =>
    variants.flatMap((variant): Bar[] => {
      const known = value(variant);
      return known === undefined ? [] : [{ name: variant.name, value: known, tone: tone(variant) }];
    });
  const latency = variants.flatMap((variant): Bar[] => {
    const { name, medianSeconds, runSeconds = [] } = variant;
    if (medianSeconds === undefined) return [];
    const spread =
      runSeconds.length > 1 ? { low: quantile(runSeconds, 0.1) * 1000, high: quantile(runSeconds, 0.9) * 1000 } : {};
    return [{ name, value: medianSeconds * 1000, tone: tone(variant), ...spread }];
  });
  const memory = bars(({ peakMemoryBytes }) => peakMemoryBytes && peakMemoryBytes / 1e6);
  const files = bars(({ fileBytes }) => fileBytes && fileBytes / 1e6);
  const charts = [
    ...(latency.length > 0
      ? [chartCard('Latency, median and 10–90 % of the runs (ms)', barChart('Latency', 'ms', latency, 1))]
      : []),
    ...(memory.length > 0
      ? [chartCard('Peak memory of the process (MB)', barChart('Peak memory', 'MB', memory, 0))]
      : []),
    ...(files.length > 0 ? [chartCard('File size (MB)', barChart('File size', 'MB', files, 1))] : []),
  ];
  if (charts.length === 0) return [];
  const [reference] = variants;
  const rows = variants.map((variant) => {
    const { name, medianSeconds, runSeconds = [], peakMemoryBytes, fileBytes } = variant;
    const gain = reference && variant !== reference ? speedGain(variant, reference) : undefined;
    return [
      name,
      medianSeconds === undefined ? '–' : milliseconds(medianSeconds),
      runSeconds.length > 1
        ? `${milliseconds(quantile(runSeconds, 0.1))} to ${milliseconds(quantile(runSeconds, 0.9))}`
        : '–',
      gain ? `${gain.ratio.toFixed(2)}×` : '–',
      gain?.low === undefined || gain.high === undefined
        ? '–'
        : `${gain.low.toFixed(2)} to ${gain.high.toFixed(2)}${gain.isDistinct ? '' : ', no difference'}`,
      peakMemoryBytes === undefined ? '–' : megabytes(peakMemoryBytes, 0),
      fileBytes === undefined ? '–' : megabytes(fileBytes),
    ];
  });
  const table = tableCard({
    caption: 'Time, memory and size of each variant',
    columns: ['Variant', 'Median latency', '10–90 % of the runs', 'Faster', 'by rounds', 'Peak memory', 'File'],
    rows,
  });
  return [
    {
      id: 'speed',
      title: 'Speed and memory',
      body: markup`<div class="charts">${charts}</div>${folded('The same in numbers', table)}`,
    },
  ];
}
