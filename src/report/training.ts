/** The curves of a training, as a page. */
import type { LogLine } from '../train/training-log.ts';
import { lineChart, type Point } from './charts.ts';
import { escapeHtml, page } from './page.ts';

/** Points of a curve, at most: more cannot be told apart. */
const MOST_POINTS = 300;

export function renderTraining(name: string, lines: readonly LogLine[]): string {
  const charts = trainingCharts(lines).map((chart) => `<div class="card">${chart}</div>`);
  return page(`${escapeHtml(name)}: training`, charts.join('\n'));
}

/** Loss, learning rate, and average precision where it was measured. */
export function trainingCharts(lines: readonly LogLine[]): string[] {
  const steps = lines.filter((line) => line.kind === 'step');
  const scores = lines.filter((line) => line.kind === 'score');
  const loss = thin(steps.map(({ step, loss: y }) => ({ x: step, y })));
  const rate = thin(steps.map(({ step, rate: y }) => ({ x: step, y })));
  return [
    lineChart('Loss', { x: 'step', y: 'loss' }, loss, { logarithmic: isWide(loss) }),
    ...(scores.length > 0
      ? [
          lineChart(
            'Average precision',
            { x: 'step', y: 'AP' },
            scores.map(({ step, AP }) => ({ x: step, y: AP })),
          ),
        ]
      : []),
    lineChart('Learning rate', { x: 'step', y: 'rate' }, rate),
  ];
}

/** From random weights the loss falls by orders of magnitude, of which the last would not be seen. */
function isWide(points: readonly Point[]): boolean {
  const values = points.map(({ y }) => y);
  const lowest = Math.min(...values);
  return lowest > 0 && Math.max(...values) > 30 * lowest;
}

/** Means of as many neighbours as it takes. */
function thin(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / MOST_POINTS);
  return Array.from({ length: Math.ceil(points.length / Math.max(size, 1)) }, (_, index) => {
    const part = points.slice(index * size, (index + 1) * size);
    const mean = (pick: (point: Point) => number) => part.reduce((sum, point) => sum + pick(point), 0) / part.length;
    return { x: mean(({ x }) => x), y: mean(({ y }) => y) };
  });
}
