/** The report page of a comparison between a quantized model and its float model. */
import { markup } from '../base/markup.ts';
import type { Comparison } from '../evaluate/compare.ts';
import { lineChart } from './charts.ts';
import { chartCard, page, tableCard } from './page.ts';

const MAX_IMAGES = 20;
/** Layers without noise have an infinite ratio; the chart ends here. */
const MAX_DECIBELS = 100;

/**
 * Renders a comparison as one HTML file.
 * @param name the name of the quantized model
 */
export function renderComparison(name: string, { layers, images, overlap, scoreError }: Comparison): string {
  const chart = lineChart(
    'signal to quantization noise',
    { x: 'layer, in the order of computation', y: 'dB' },
    layers.map(({ decibels }, index) => ({ x: index, y: Math.min(decibels, MAX_DECIBELS) })),
  );
  const worst = images
    .slice(0, MAX_IMAGES)
    .map((image) => [image.path, image.queries, image.overlap.toFixed(4), image.scoreError.toFixed(4)]);
  return page(
    `${name} against the float model`,
    markup`<p>Boxes of the same queries overlap by ${overlap.toFixed(4)}, scores differ by ${scoreError.toFixed(4)}.</p>
${chartCard('Signal to quantization noise after each layer (dB)', chart)}
<h2>Images that changed most</h2>${tableCard(['Image', 'queries', 'overlap', 'score error'], worst)}
<h2>Layers</h2>${tableCard(
      ['Layer', 'dB'],
      layers.map(({ path, decibels }) => [path, decibels.toFixed(1)]),
    )}`,
  );
}
