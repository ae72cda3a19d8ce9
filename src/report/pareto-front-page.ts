/** The report page of tuning: the accuracy and latency of mixtures of precisions, and which one was chosen. */
import { signed } from '../base/format.ts';
import { type Markup, markup } from '../base/markup.ts';
import { points, pointsInterval, signedInterval, verdict } from '../evaluate/points.ts';
import type { Mixture, Tuned } from '../evaluate/tune.ts';
import { lineChart } from './charts.ts';
import { chartCard, page, tableCard } from './page.ts';

/**
 * Renders the measured mixtures as one HTML file.
 * @param name the name of the model
 */
export function renderParetoFront(name: string, { mixtures, chosen, recipe }: Tuned): string {
  return page(
    `${name}: accuracy against latency`,
    markup`<p>Each point is the recipe ${recipe.name} with its most sensitive parts left float.</p>
${mixturesBody(mixtures, chosen)}`,
  );
}

/** The mixtures as a chart and a table. */
export function mixturesBody(mixtures: readonly Mixture[], chosen?: Mixture): Markup {
  const isScored = mixtures.every(({ averagePrecision }) => averagePrecision !== undefined);
  const dots = mixtures.map(({ float, averagePrecision = 0, drop, seconds }) => ({
    x: 1000 * seconds,
    y: isScored ? 100 * averagePrecision : drop,
    label: `${float}`,
  }));
  const rows = mixtures.map((point) => [
    `${point.float}${point === chosen ? ' (chosen)' : ''}`,
    ...(isScored
      ? [
          points(point.averagePrecision ?? 0),
          pointsInterval(point.interval),
          signed(-point.drop),
          signedInterval(point.change),
          verdict(point.change),
        ]
      : [point.drop.toFixed(3)]),
    `${(1000 * point.seconds).toFixed(1)} ms`,
  ]);
  const measure = isScored ? 'AP' : 'change of the outputs (%)';
  const chart = lineChart(`${measure} against latency`, { x: 'median latency (ms)', y: measure }, dots, {
    line: false,
  });
  const mixtureTable = tableCard({
    caption: 'The mixtures that were measured',
    columns: [
      'float parts',
      measure,
      ...(isScored ? ['95 % interval', 'change of AP', '95 % interval', 'meaning'] : []),
      'latency',
    ],
    rows,
    chosen: chosen && mixtures.indexOf(chosen),
  });
  return markup`<p>The number at a point says how many of the most sensitive parts are float there.</p>
${chartCard(`${measure} against latency`, chart)}
${mixtureTable}`;
}
