/** Charts as SVG, drawn by Observable Plot on a document in memory. Their colours follow the scheme of the page. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { type Markup, markup, trustedMarkup } from '../base/markup.ts';

/** The meaning of a mark, from which its colour follows. */
export type Tone = 'reference' | 'chosen' | 'other' | 'better' | 'worse' | 'chance';

const COLOURS: Readonly<Record<Tone, string>> = {
  reference: 'var(--quiet)',
  chosen: 'var(--accent)',
  other: 'var(--mark)',
  better: 'var(--better)',
  worse: 'var(--worse)',
  chance: 'var(--quiet)',
};

/** A bar of a chart. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  /** The ends of a whisker that shows the spread of the value. */
  readonly low?: number;
  readonly high?: number;
  /** By default `other`. */
  readonly tone?: Tone;
}

const WIDTH = 380;
const ROW = 34;
/** The width of a letter of a label, for the margin of labels. */
const LETTER = 7;
const LONGEST_LABEL = 26;
/** The width that the label of a tick needs with its space. An axis may have up to twice the ticks that are asked for. */
const TICK = 64;

const colourOf = ({ tone = 'other' }: Pick<Bar, 'tone'>) => COLOURS[tone];

/** The number of ticks whose labels fit side by side below the part of a chart that its margins leave. */
const fittingTicks = (margins: number): number => Math.max(2, Math.min(5, Math.floor((WIDTH - margins) / TICK)));

/** Labels are shortened in their middle, and their margin is as wide as the longest of them. */
function labelsOf(bars: readonly Bar[]) {
  const label = (name: string) =>
    name.length > LONGEST_LABEL ? `${name.slice(0, 9)}…${name.slice(9 + 1 - LONGEST_LABEL)}` : name;
  return { label, margin: 12 + LETTER * Math.max(4, ...bars.map(({ name }) => label(name).length)) };
}

const newDocument = () =>
  // Plot is typed for the document of a browser, but uses only what linkedom's document has.
  parseHTML('<!doctype html><html><body></body></html>').document as never;

/** The part of a chart that is the same in all of them. */
const shared = () => ({
  document: newDocument(),
  style: { fontSize: '12px', background: 'transparent', overflow: 'visible' },
});

const sayBar = ({ name, value, low, high }: Bar, unit: string, digits: number) =>
  `${name}: ${value.toFixed(digits)}${unit && ` ${unit}`}${low === undefined || high === undefined ? '' : ` (${low.toFixed(digits)} to ${high.toFixed(digits)})`}`;

/**
 * A horizontal bar chart with the value at the end of each bar.
 * @param title the description for screen readers, to which the values are added
 * @param digits the decimals of the values
 */
export function barChart(title: string, unit: string, bars: readonly Bar[], digits: number): Markup {
  const maximum = Math.max(...bars.map((bar) => bar.high ?? bar.value), 0);
  const ranged = bars.filter((bar) => bar.low !== undefined);
  const { label, margin } = labelsOf(bars);
  const textOf = ({ value }: Bar) => `${value.toFixed(digits)} ${unit}`;
  const space = 10 + LETTER * Math.max(0, ...bars.map((bar) => textOf(bar).length));
  const figure = Plot.plot({
    ...shared(),
    width: WIDTH,
    height: bars.length * ROW + 24,
    marginLeft: margin,
    marginRight: space,
    marginTop: 4,
    marginBottom: 20,
    x: { domain: [0, maximum > 0 ? maximum : 1], label: null, ticks: fittingTicks(margin + space), grid: true },
    y: { domain: bars.map(({ name }) => name), label: null, tickSize: 0, tickFormat: label },
    color: { type: 'identity' },
    marks: [
      Plot.barX(bars, { x: 'value', y: 'name', fill: colourOf, insetTop: 4, insetBottom: 4, rx: 3 }),
      Plot.ruleY(ranged, { x1: 'low', x2: 'high', y: 'name', stroke: 'currentColor', strokeWidth: 1.5 }),
      Plot.text(bars, {
        x: (bar: Bar) => bar.high ?? bar.value,
        y: 'name',
        text: textOf,
        textAnchor: 'start',
        dx: 5,
      }),
    ],
  });
  return svgOf(figure, `${title}. ${bars.map((bar) => sayBar(bar, unit, digits)).join('; ')}`);
}

/**
 * Values with their intervals, one below the other.
 * @param title the description for screen readers, to which the values are added
 * @param lines values at which a line is drawn across all rows, such as 0; the second one is dashed
 */
export function intervalChart(
  title: string,
  bars: readonly Bar[],
  digits: number,
  lines: readonly number[] = [],
): Markup {
  const values = [...bars.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]), ...lines];
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const space = 0.06 * (highest - lowest || 1);
  const { label, margin } = labelsOf(bars);
  const figure = Plot.plot({
    ...shared(),
    width: WIDTH,
    height: bars.length * ROW + 24,
    marginLeft: margin,
    marginRight: 14,
    marginTop: 4,
    marginBottom: 20,
    x: { domain: [lowest - space, highest + space], label: null, ticks: fittingTicks(margin + 14), grid: true },
    y: { domain: bars.map(({ name }) => name), label: null, tickSize: 0, tickFormat: label, type: 'band' },
    color: { type: 'identity' },
    marks: [
      Plot.ruleX(lines.slice(0, 1), { stroke: 'currentColor', strokeWidth: 1 }),
      Plot.ruleX(lines.slice(1, 2), { stroke: 'currentColor', strokeWidth: 1, strokeDasharray: '4 3' }),
      Plot.ruleY(
        bars.filter(({ low }) => low !== undefined),
        { x1: 'low', x2: 'high', y: 'name', stroke: colourOf, strokeWidth: 4, strokeLinecap: 'round' },
      ),
      Plot.dot(bars, { x: 'value', y: 'name', r: 5.5, fill: colourOf, stroke: 'var(--paper)', strokeWidth: 1.5 }),
    ],
  });
  return svgOf(figure, `${title}. ${bars.map((bar) => sayBar(bar, '', digits)).join('; ')}`);
}

/** A bin of a histogram: values from `low` to `high`, and how many there are. */
export interface Bin {
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/**
 * A histogram, whose heights are square roots so that rare values are seen, with the range between two lines.
 * @param title the description for screen readers
 */
export function histogramChart(
  title: string,
  bins: readonly Bin[],
  range: { readonly low: number; readonly high: number },
): Markup {
  const figure = Plot.plot({
    ...shared(),
    width: 300,
    height: 110,
    marginLeft: 8,
    marginRight: 8,
    marginTop: 6,
    marginBottom: 22,
    x: {
      label: null,
      ticks: 4,
      domain: [
        Math.min(range.low, ...bins.map(({ low }) => low)),
        Math.max(range.high, ...bins.map(({ high }) => high)),
      ],
    },
    y: { type: 'sqrt', axis: null },
    marks: [
      Plot.rectY(bins, { x1: 'low', x2: 'high', y: 'count', fill: 'var(--mark)', inset: 0 }),
      Plot.ruleX([range.low, range.high], { stroke: 'var(--accent)', strokeWidth: 2 }),
    ],
  });
  return svgOf(figure, title);
}

/** A point of a line chart, with an optional text above it. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly label?: string;
}

/** The sizes in which a line chart is drawn: the texts of one would be too small on a phone, and of the other too large on a desk. */
const SIZES = [
  { name: 'broad', width: 720, height: 300, ticks: 10 },
  { name: 'narrow', width: 340, height: 250, ticks: 5 },
] as const;

/**
 * A line chart, or a scatter plot without `line`, in two sizes of which the page shows the one that fits.
 * @param title the description for screen readers
 * @param axes the labels of the axes
 */
export function lineChart(
  title: string,
  axes: { readonly x: string; readonly y: string },
  points: readonly Point[],
  { line = true, logarithmic = false }: { line?: boolean; logarithmic?: boolean } = {},
): Markup {
  return markup`${SIZES.map(({ name, width, height, ticks }) => {
    const figure = Plot.plot({
      ...shared(),
      width,
      height,
      marginLeft: 56,
      marginBottom: 40,
      inset: line ? 2 : 14,
      x: { label: axes.x, grid: !line, ticks },
      y: { label: axes.y, grid: true, ...(logarithmic ? { type: 'log' } : {}) },
      marks: [
        ...(line ? [Plot.lineY(points, { x: 'x', y: 'y', stroke: COLOURS.chosen, strokeWidth: 1.5 })] : []),
        Plot.dot(points, { x: 'x', y: 'y', r: line ? 1.5 : 4, fill: COLOURS.chosen }),
        Plot.text(points, { x: 'x', y: 'y', text: (point: Point) => point.label ?? '', dy: -10 }),
      ],
    });
    return markup`<div class="${name}">${svgOf(figure, title)}</div>`;
  })}`;
}

/** A value at one of some steps that have equal distances, with the ends of its interval if they are known. */
export interface StepValue {
  /** What the step is called, below the axis. */
  readonly step: string;
  readonly value: number;
  readonly low?: number | undefined;
  readonly high?: number | undefined;
}

/**
 * Values over a few steps, with their intervals.
 * @param title the description for screen readers, to which the values are added
 * @param axis what the steps are, below the axis
 */
export function stepChart(title: string, axis: string, values: readonly StepValue[], digits: number): Markup {
  const ends = values.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  const [lowest, highest] = [Math.min(...ends), Math.max(...ends)];
  const space = 0.08 * (highest - lowest || 1);
  const ranged = values.filter(({ low, high }) => low !== undefined && high !== undefined);
  const figure = Plot.plot({
    ...shared(),
    width: WIDTH,
    height: 230,
    marginLeft: 44,
    marginRight: 14,
    marginTop: 10,
    marginBottom: 38,
    // No value is negative.
    y: { domain: [Math.max(lowest - space, 0), highest + space], label: null, ticks: 5, grid: true },
    x: {
      type: 'point',
      domain: values.map(({ step }) => step),
      label: axis,
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    marks: [
      Plot.lineY(values, { x: 'step', y: 'value', stroke: COLOURS.chosen, strokeWidth: 1.5 }),
      Plot.ruleX(ranged, {
        x: 'step',
        y1: 'low',
        y2: 'high',
        stroke: COLOURS.chosen,
        strokeWidth: 4,
        strokeOpacity: 0.5,
      }),
      Plot.dot(values, {
        x: 'step',
        y: 'value',
        r: 4.5,
        fill: COLOURS.chosen,
        stroke: 'var(--paper)',
        strokeWidth: 1.5,
      }),
    ],
  });
  const said = values.map(({ step, ...bar }) => sayBar({ name: `${step} ${axis}`, ...known(bar) }, '', digits));
  return svgOf(figure, `${title}. ${said.join('; ')}`);
}

/** Fields without those that are undefined. */
const known = ({ value, low, high }: Omit<StepValue, 'step'>) => ({
  value,
  ...(low === undefined || high === undefined ? {} : { low, high }),
});

function svgOf(figure: ReturnType<typeof Plot.plot>, title: string): Markup {
  const svg = figure.tagName.toLowerCase() === 'svg' ? figure : figure.querySelector('svg');
  // The chart is one picture with one text; its parts have none.
  for (const part of svg?.querySelectorAll('[aria-label],[aria-description]') ?? []) {
    part.removeAttribute('aria-label');
    part.removeAttribute('aria-description');
  }
  svg?.setAttribute('role', 'img');
  svg?.setAttribute('aria-label', title);
  return trustedMarkup(svg?.outerHTML ?? '');
}
