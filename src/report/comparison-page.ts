/** The report page of a comparison between a quantized model and its float model. */
import { decibelsInWords } from '../base/format.ts';
import { type Markup, markup } from '../base/markup.ts';
import type { Estimate } from '../base/statistics.ts';
import type { FigureMap } from '../evaluate/bootstrap.ts';
import type { Comparison } from '../evaluate/compare.ts';
import { points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import { type CocoFigures, FIGURES } from '../evaluate/score-matches.ts';
import type { LogitDrift, PhraseDrift } from '../evaluate/token-drift.ts';
import type { OutputDifference } from '../models/family.ts';
import { lineChart } from './charts.ts';
import { chartCard, page, tableCard } from './page.ts';

const MAX_SAMPLES = 20;
/** Layers without noise have an infinite ratio; the chart ends here. */
const MAX_DECIBELS = 100;

/** The score of the quantized model with its change against the float one. */
export interface ComparedAccuracy {
  readonly images: number;
  readonly figures: CocoFigures;
  readonly intervals: FigureMap<Estimate>;
  readonly change?: FigureMap<Estimate> | undefined;
}

/**
 * Renders a comparison as one HTML file.
 * @param name the name of the quantized model
 * @param accuracy the score, if the images are labelled
 */
export function renderComparison(
  name: string,
  { layers, samples, count, figures, outputFigures, phrases = [] }: Comparison,
  accuracy?: ComparedAccuracy,
): string {
  const chart = lineChart(
    'signal to quantization noise',
    { x: 'layer, in the order of computation', y: 'dB' },
    layers.map(({ decibels }, index) => ({ x: index, y: Math.min(decibels, MAX_DECIBELS) })),
  );
  const cells = ({ count: compared, figures: of }: OutputDifference) =>
    outputFigures.map(({ key }) => (compared > 0 ? (of[key]?.toFixed(4) ?? '–') : '–'));
  const worst = samples.slice(0, MAX_SAMPLES).map((sample) => [sample.source, sample.count, ...cells(sample)]);
  const means = cells({ count, figures });
  const titles = outputFigures.map(({ title }) => title);
  return page(
    `${name} against the float model`,
    markup`<p>${count > 0 ? `Mean over ${count} compared results: ${outputFigures.map(({ title }, index) => `${title} ${means[index]}`).join(', ')}.` : 'The float model gives no result to compare for these inputs.'}</p>
${accuracy ? accuracySection(accuracy) : ''}${layers.length > 0 ? chartCard('Signal to quantization noise after each layer (dB)', chart) : ''}`,
    [
      {
        id: 'inputs',
        title: 'Inputs whose outputs changed most',
        body: tableCard({
          caption:
            samples.length > MAX_SAMPLES
              ? `Figures of the outputs: the ${MAX_SAMPLES} of ${samples.length} inputs that changed most`
              : 'Figures of the outputs, input by input',
          columns: ['Input', 'compared', ...titles],
          rows: worst,
        }),
      },
      ...(phrases.length > 0
        ? [{ id: 'phrases', title: 'Phrases whose logits changed most', body: driftTable(phrases) }]
        : []),
      {
        id: 'layers',
        title: 'Layers',
        body: tableCard({
          caption: 'Signal to quantization noise after each layer',
          columns: ['Layer', 'signal to noise'],
          rows: layers.map(({ path, decibels }) => [path, decibelsInWords(decibels)]),
        }),
      },
    ],
  );
}

/** How far the logits of each phrase moved. */
function driftTable(phrases: readonly PhraseDrift[]): Markup {
  const cells = ({ queries, mean, highest }: LogitDrift) =>
    queries === 0 ? ['–', '–'] : [mean.toFixed(3), highest.toFixed(3)];
  const boxes = phrases[0]?.all.queries ?? 0;
  if (boxes === 0)
    return markup`<p>The float model finds no box in these images, so that no logits of phrases are compared.</p>`;
  return markup`<p>How far quantization moves the logits of the tokens of each phrase: over the ${boxes} boxes that the float model finds, and over those of them to which it gives the phrase. A logit that moves by 0.1 moves a score by at most 0.025.</p>
${tableCard({
  caption: 'Change of logits, as a distance',
  columns: ['Phrase', 'mean', 'largest', 'its own boxes', 'mean over its own', 'largest over its own'],
  rows: phrases.map(({ phrase, all, own }) => [phrase, ...cells(all), own.queries, ...cells(own)]),
})}`;
}

/** The figures of COCO, and how they changed. */
function accuracySection({ images, figures, intervals, change }: ComparedAccuracy): Markup {
  const rows = FIGURES.map(({ name }) => {
    const difference = change?.[name];
    return [
      name,
      points(figures[name]),
      pointsInterval(intervals[name]),
      difference ? signedPoints(difference.value) : '–',
      signedInterval(difference),
      verdict(difference),
    ];
  });
  return tableCard({
    caption: `Accuracy on the same ${images} images`,
    columns: ['Figure', 'points', '95 % interval', 'change', '95 % interval', 'meaning'],
    rows,
  });
}
