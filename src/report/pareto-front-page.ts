/** The report page of tuning: the accuracy and latency of mixtures of precisions, and which one was chosen. */
import { markup } from '../base/markup.ts';
import type { Tuned } from '../evaluate/tune.ts';
import { lineChart } from './charts.ts';
import { page, tableCard } from './page.ts';

/**
 * Renders the measured mixtures as one HTML file.
 * @param name the name of the model
 */
export function renderParetoFront(name: string, { mixtures, chosen, recipe }: Tuned): string {
  const points = mixtures.map(({ float, averagePrecision, seconds }) => ({
    x: 1000 * seconds,
    y: 100 * averagePrecision,
    label: `${float}`,
  }));
  const rows = mixtures.map((point) => [
    `${point.float}${point === chosen ? ' (chosen)' : ''}`,
    (100 * point.averagePrecision).toFixed(2),
    (-point.drop).toFixed(2),
    `${(1000 * point.seconds).toFixed(1)} ms`,
  ]);
  const chart = lineChart('AP against latency', { x: 'median latency (ms)', y: 'AP' }, points, { line: false });
  return page(
    `${name}: accuracy against latency`,
    markup`<p>Each point is the recipe ${recipe.name} with its most sensitive parts left float; the number at the point says how many parts are float.</p>
<div class="card">${chart}</div>
${tableCard(['float parts', 'AP', 'change', 'latency'], rows)}`,
  );
}
