/** The report page of a sensitivity analysis: the loss of each part when it alone is quantized. */
import { markup } from '../base/markup.ts';
import type { Sensitivity } from '../evaluate/sensitivity.ts';
import { barChart } from './charts.ts';
import { chartCard, page, tableCard } from './page.ts';

const MAX_BARS = 30;

/**
 * Renders a sensitivity analysis as one HTML file.
 * @param name the name of the model
 */
export function renderSensitivity(name: string, { float, parts }: Sensitivity): string {
  const bars = parts.slice(0, MAX_BARS).map((part) => ({
    name: part.name.replace(/^model\./, ''),
    value: 100 * (1 - part.overlap + part.scoreError),
  }));
  const chart = barChart('loss of overlap and score', '%', bars, 2, { labelWidth: 260, oneColour: true });
  const rows = parts.map(({ name: part, averagePrecision, drop, overlap, scoreError }) => [
    part,
    (100 * averagePrecision).toFixed(2),
    (-drop).toFixed(2),
    overlap.toFixed(4),
    scoreError.toFixed(4),
  ]);
  return page(
    `${name}: loss of each part in 8 bits`,
    markup`<p>One part at a time is quantized. Float: ${(100 * float).toFixed(2)} AP.</p>
${chartCard('Loss of overlap and score of the same queries (%)', chart)}
${tableCard(['Part', 'AP', 'change', 'overlap', 'score error'], rows)}`,
  );
}
