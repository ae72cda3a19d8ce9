/** A quantized model against the float one, as a page. */
import type { Comparison } from '../evaluate/compare.ts';
import { lineChart } from './charts.ts';
import { escapeHtml, page } from './page.ts';

const MOST_IMAGES = 20;

export function renderComparison(name: string, { layers, images, overlap, scoreError }: Comparison): string {
  const rows = layers.map(
    ({ path, decibels }) => `<tr><td>${escapeHtml(path)}</td><td>${decibels.toFixed(1)}</td></tr>`,
  );
  const worst = images
    .slice(0, MOST_IMAGES)
    .map(
      (image) =>
        `<tr><td>${escapeHtml(image.path)}</td><td>${image.queries}</td><td>${image.overlap.toFixed(4)}</td><td>${image.scoreError.toFixed(4)}</td></tr>`,
    );
  const chart = lineChart(
    'signal to quantization noise',
    { x: 'layer, in the order of computation', y: 'dB' },
    layers.map(({ decibels }, index) => ({ x: index, y: Math.min(decibels, 100) })),
  );
  return page(
    `${name} against the float model`,
    `<p>Boxes of the same queries overlap by ${overlap.toFixed(4)}, scores differ by ${scoreError.toFixed(4)}.</p>
<div class="card"><h3>Signal to quantization noise after each layer (dB)</h3>${chart}</div>
<h2>Images that suffer most</h2><div class="card"><table><thead><tr><th>Image</th><th>queries</th><th>overlap</th><th>score error</th></tr></thead><tbody>${worst.join('')}</tbody></table></div>
<h2>Layers</h2><div class="card"><table><thead><tr><th>Layer</th><th>dB</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`,
  );
}
