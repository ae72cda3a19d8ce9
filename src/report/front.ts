/** Accuracy against latency of mixtures of precisions, as a page. */
import type { Tuned } from '../evaluate/tune.ts';
import { lineChart } from './charts.ts';
import { page } from './page.ts';

export function renderFront(name: string, { front, chosen, recipe }: Tuned): string {
  const points = front.map(({ float, averagePrecision, seconds }) => ({
    x: 1000 * seconds,
    y: 100 * averagePrecision,
    label: `${float}`,
  }));
  const rows = front.map(
    (point) =>
      `<tr><td>${point.float}${point === chosen ? ' (chosen)' : ''}</td><td>${(100 * point.averagePrecision).toFixed(2)}</td><td>${(-point.drop).toFixed(2)}</td><td>${(1000 * point.seconds).toFixed(1)} ms</td></tr>`,
  );
  const chart = lineChart('AP against latency', { x: 'median latency (ms)', y: 'AP' }, points, { line: false });
  return page(
    `${name}: accuracy against latency`,
    `<p>${recipe.name} with its most sensitive parts left float; the number at each point says how many.</p>
<div class="card">${chart}</div>
<div class="card"><table><thead><tr><th>float parts</th><th>AP</th><th>change</th><th>latency</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`,
  );
}
