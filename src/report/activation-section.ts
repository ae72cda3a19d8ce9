/** The section of a report about activations: the histograms of those that fit 8 bits worst, with the ranges chosen for them. */
import { markup } from '../base/markup.ts';
import type { ActivationRanges } from '../evaluate/activation-ranges.ts';
import { histogramChart } from './charts.ts';
import { folded, type Section, tableCard } from './page.ts';

/** Ends of ranges below this are those of values that come as near to 0 as floating point does. */
const NOTHING = 1e-9;

/** Nothing if no range was chosen by calibration. */
export function activationSections(activations: ActivationRanges | undefined): Section[] {
  if (!activations || activations.values.length === 0) return [];
  const { variant, total, values } = activations;
  const short = (name: string) => name.replace(/^model\./, '').replace(/:$/, '');
  const number = (value: number) =>
    Math.abs(value) < NOTHING ? '0' : Number(value.toPrecision(3)).toString().replaceAll('-', '−');
  const charts = values.map(({ name, low, high, decibels, bins }) => {
    const said = `Histogram of ${short(name)} from ${number(bins[0]?.low ?? 0)} to ${number(bins.at(-1)?.high ?? 0)}; range from ${number(low)} to ${number(high)}`;
    return markup`<div class="card"><h3>${short(name)}</h3>${histogramChart(said, bins, { low, high })}<p>${decibels.toFixed(1)} dB, range ${number(low)} to ${number(high)}</p></div>`;
  });
  const table = tableCard({
    caption: 'Ranges of activations, the worst first',
    columns: ['Value', 'signal to noise', 'minimum seen', 'range from', 'to', 'maximum seen'],
    rows: values.map(({ name, low, high, minimum, maximum, decibels }) => [
      short(name),
      `${decibels.toFixed(1)} dB`,
      ...[minimum, low, high, maximum].map(number),
    ]),
  });
  return [
    {
      id: 'activations',
      title: 'Activations and their ranges',
      body: markup`<p>Of the ${total} values that ${variant} computes in 8 bits with a fixed range, those to which rounding and clipping add most noise, by the histogram of calibration; a lower ratio of signal to noise (dB) is worse. The vertical lines are the ends of the range; the height of a bar is the square root of its count.</p>
<div class="charts small">${charts}</div>${folded('The same in numbers', table)}`,
    },
  ];
}
