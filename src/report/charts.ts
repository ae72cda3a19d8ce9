/** Charts as SVG, drawn by Observable Plot on a document in memory. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { type Markup, trustedMarkup } from '../base/markup.ts';

/** A bar of a chart. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  /** The ends of a whisker that shows the spread of the value. */
  readonly low?: number;
  readonly high?: number;
}

const COLOURS = ['#64748b', '#0d9488', '#4f46e5', '#c026d3', '#ea580c'];
const WIDTH = 340;
const ROW = 34;

/**
 * A horizontal bar chart with the value at the end of each bar.
 * @param title the description for screen readers
 * @param digits the decimals of the values
 */
export function barChart(
  title: string,
  unit: string,
  bars: readonly Bar[],
  digits: number,
  { labelWidth = 70, oneColour = false }: { labelWidth?: number; oneColour?: boolean } = {},
): Markup {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const names = bars.map((bar) => bar.name);
  const maximum = Math.max(...bars.map((bar) => bar.high ?? bar.value), 0);
  const ranged = bars.filter((bar) => bar.low !== undefined);
  const figure = Plot.plot({
    // Plot is typed for the document of a browser, but uses only what linkedom's document has.
    document: document as never,
    width: WIDTH + labelWidth - 70,
    height: bars.length * ROW + 24,
    marginLeft: labelWidth,
    marginRight: 62,
    marginTop: 4,
    marginBottom: 20,
    x: { domain: [0, maximum > 0 ? maximum : 1], label: null, ticks: 4, grid: true },
    y: { domain: names, label: null, tickSize: 0 },
    color: { domain: names, range: oneColour ? COLOURS.slice(1, 2) : COLOURS },
    style: { fontSize: '12px', background: 'transparent' },
    marks: [
      Plot.barX(bars, { x: 'value', y: 'name', fill: 'name', insetTop: 3, insetBottom: 3, rx: 2 }),
      Plot.ruleY(ranged, { x1: 'low', x2: 'high', y: 'name', stroke: '#0f172a', strokeOpacity: 0.55 }),
      Plot.text(bars, {
        x: (bar: Bar) => bar.high ?? bar.value,
        y: 'name',
        text: (bar: Bar) => `${bar.value.toFixed(digits)} ${unit}`,
        textAnchor: 'start',
        dx: 5,
      }),
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

/**
 * A line chart, or a scatter plot without `line`.
 * @param title the description for screen readers
 * @param axes the labels of the axes
 */
export function lineChart(
  title: string,
  axes: { readonly x: string; readonly y: string },
  points: readonly Point[],
  { line = true, logarithmic = false }: { line?: boolean; logarithmic?: boolean } = {},
): Markup {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const figure = Plot.plot({
    document: document as never, // as above
    width: 720,
    height: 300,
    marginLeft: 56,
    marginBottom: 40,
    x: { label: axes.x, grid: !line },
    y: { label: axes.y, grid: true, ...(logarithmic ? { type: 'log' } : {}) },
    style: { fontSize: '12px', background: 'transparent' },
    marks: [
      ...(line ? [Plot.lineY(points, { x: 'x', y: 'y', stroke: COLOURS[1] ?? '' })] : []),
      Plot.dot(points, { x: 'x', y: 'y', r: line ? 1.5 : 4, fill: COLOURS[1] ?? '' }),
      Plot.text(points, { x: 'x', y: 'y', text: (point: Point) => point.label ?? '', dy: -10 }),
    ],
  });
  return svgOf(figure, title);
}

function svgOf(figure: ReturnType<typeof Plot.plot>, title: string): Markup {
  const svg = figure.tagName.toLowerCase() === 'svg' ? figure : figure.querySelector('svg');
  svg?.setAttribute('role', 'img');
  svg?.setAttribute('aria-label', title);
  return trustedMarkup(svg?.outerHTML ?? '');
}
