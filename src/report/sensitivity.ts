/** What each part loses in 8 bits, as a page. */
import type { Sensitivity } from '../evaluate/sensitivity.ts';
import { barChart } from './charts.ts';
import { escapeHtml, page } from './page.ts';

const MOST_BARS = 30;

export function renderSensitivity(name: string, { float, parts }: Sensitivity): string {
  const bars = parts.slice(0, MOST_BARS).map((part) => ({
    name: part.name.replace(/^model\./, ''),
    value: 100 * (1 - part.overlap + part.scoreError),
  }));
  const rows = parts.map(
    ({ name: part, averagePrecision, drop, overlap, scoreError }) =>
      `<tr><td>${escapeHtml(part)}</td><td>${(100 * averagePrecision).toFixed(2)}</td><td>${(-drop).toFixed(2)}</td><td>${overlap.toFixed(4)}</td><td>${scoreError.toFixed(4)}</td></tr>`,
  );
  const chart = barChart('loss of overlap and score', '%', bars, 2, { labelWidth: 260, oneColour: true });
  return page(
    `${name}: what each part loses in 8 bits`,
    `<p>One part at a time is quantized. Float: ${(100 * float).toFixed(2)} AP.</p>
<div class="card"><h3>Loss of overlap and score of the same queries (%)</h3>${chart}</div>
<div class="card"><table><thead><tr><th>Part</th><th>AP</th><th>change</th><th>overlap</th><th>score error</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`,
  );
}
