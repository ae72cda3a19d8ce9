/** The report page of a sensitivity analysis: the loss of each part when it alone is quantized. */
import { signed } from '../base/format.ts';
import { type Markup, markup } from '../base/markup.ts';
import { points, pointsInterval, signedInterval, verdict } from '../evaluate/points.ts';
import type { Sensitivity } from '../evaluate/sensitivity.ts';
import { barChart } from './charts.ts';
import { chartCard, page, tableCard } from './page.ts';

const MAX_BARS = 30;

/**
 * Renders a sensitivity analysis as one HTML file.
 * @param name the name of the model
 */
export function renderSensitivity(name: string, sensitivity: Sensitivity): string {
  return page(`${name}: loss of each part in 8 bits`, sensitivityBody(sensitivity));
}

/** The parts as a chart and a table. */
export function sensitivityBody({ float, floatInterval, parts, outputFigures }: Sensitivity): Markup {
  const bars = parts.slice(0, MAX_BARS).map((part) => ({
    name: part.name.replace(/^model\./, ''),
    value: 100 * part.loss,
  }));
  const chart = barChart('change of the outputs', '%', bars, 2);
  const rows = parts.map(({ name: part, averagePrecision, drop, change, figures }) => [
    part,
    ...(averagePrecision === undefined || drop === undefined
      ? []
      : [points(averagePrecision), signed(-drop), signedInterval(change), verdict(change)]),
    ...outputFigures.map(({ key, perfect }) => (figures[key] ?? perfect).toFixed(4)),
  ]);
  const precisionHeadings = float === undefined ? [] : ['AP', 'change of AP', '95 % interval', 'meaning'];
  const table = tableCard({
    caption: 'Each part when it alone is quantized',
    columns: ['Part', ...precisionHeadings, ...outputFigures.map(({ title }) => title)],
    rows,
  });
  return markup`<p>One part at a time is quantized.${float === undefined ? '' : ` The float model has ${points(float)} AP${floatInterval ? ` (95 % interval ${pointsInterval(floatInterval)})` : ''}.`}</p>
${chartCard('Change of the outputs (%)', chart)}
${table}`;
}
