/** The report page of a training: its curves. */
import { type Markup, markup } from '../base/markup.ts';
import type { LogLine } from '../train/training-log.ts';
import { lineChart, type Point } from './charts.ts';
import { chartCard, page } from './page.ts';

/** A curve has at most this many points, since more cannot be told apart. */
const MAX_POINTS = 300;
/** A curve that spans a larger factor than this has a logarithmic scale. */
const MAX_LINEAR_FACTOR = 30;

/**
 * Renders the curves of a training as one HTML file.
 * @param name the name of the training
 */
export function renderTraining(name: string, lines: readonly LogLine[]): string {
  const charts = trainingCharts(lines).map(({ title, chart }) => markup`${chartCard(title, chart)}\n`);
  return page(`${name}: training`, charts);
}

/** Charts of the loss and the learning rate, and of average precision if it was measured. */
function trainingCharts(lines: readonly LogLine[]): { readonly title: string; readonly chart: Markup }[] {
  const steps = lines.filter((line) => line.kind === 'step');
  const scores = lines.filter((line) => line.kind === 'score');
  const loss = thinOut(steps.map(({ step, loss: y }) => ({ x: step, y })));
  const rate = thinOut(steps.map(({ step, rate: y }) => ({ x: step, y })));
  const precision = scores.map(({ step, AP }) => ({ x: step, y: AP }));
  const charted = (title: string, y: string, points: readonly Point[], logarithmic = false) => {
    const [first, last] = [points[0]?.y ?? Number.NaN, points.at(-1)?.y ?? Number.NaN];
    const said = `${title} by step, from ${first.toPrecision(3)} to ${last.toPrecision(3)}`;
    return { title, chart: lineChart(said, { x: 'step', y }, points, { logarithmic }) };
  };
  return [
    charted('Loss', 'loss', loss, isWide(loss)),
    ...(precision.length > 0 ? [charted('Average precision', 'AP', precision)] : []),
    charted('Learning rate', 'rate', rate),
  ];
}

/** From random weights the loss falls by orders of magnitude; a linear scale would hide the last of them. */
function isWide(points: readonly Point[]): boolean {
  const values = points.map(({ y }) => y);
  const lowest = Math.min(...values);
  return lowest > 0 && Math.max(...values) > MAX_LINEAR_FACTOR * lowest;
}

/** Replaces groups of neighbouring points by their means, so that at most `MAX_POINTS` remain. */
function thinOut(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / MAX_POINTS);
  return Array.from({ length: Math.ceil(points.length / Math.max(size, 1)) }, (_, index) => {
    const group = points.slice(index * size, (index + 1) * size);
    const mean = (pick: (point: Point) => number) => group.reduce((sum, point) => sum + pick(point), 0) / group.length;
    return { x: mean(({ x }) => x), y: mean(({ y }) => y) };
  });
}
