/** The table of what the plans of models quantize. */
import type { Markup } from '../base/markup.ts';
import type { PlanSummary } from '../quant/plan-summary.ts';
import { tableCard } from './page.ts';

/** A model, and the summary of the plan that it was quantized by. */
export interface PlannedModel {
  readonly name: string;
  /** A model without one is left out of the table. */
  readonly plan?: PlanSummary | undefined;
}

/** The modes of the layers of each model, as its plan says. */
export function planTable(models: readonly PlannedModel[]): Markup {
  const text = (heading: string) => ({ heading, isText: true });
  const rows = models.flatMap(({ name, plan }) => {
    if (!plan) return [];
    const { layers, techniques, floatLayers } = plan;
    const counts = [layers.static, layers.dynamic, layers['weight-only'], layers.float].map(String);
    const operators = Object.entries(layers.activations).map(([operator, number]) => `${number} ${operator}`);
    const list = (items: readonly string[]) => items.join(', ') || '–';
    return [[name, ...counts, list(operators), list(techniques), list(blocksOf(floatLayers))]];
  });
  return tableCard({
    caption: 'Layers with weights by the precision of their products, and what stays float',
    columns: [
      'Model',
      'Static',
      'Dynamic',
      'Weight-only',
      'Float',
      text('Operators on activations'),
      text('Techniques'),
      text('Float layers, by block'),
    ],
    rows,
  });
}

/** The blocks of layers with the number of layers in each: a path up to its last number, or its first two segments. */
function blocksOf(layers: PlanSummary['floatLayers']): string[] {
  const blocks = new Map<string, number>();
  for (const { path, count } of layers) {
    const segments = path.split('.');
    const last = segments.lastIndexOf('*');
    const block = segments.slice(0, last > 0 ? last + 1 : 2).join('.');
    blocks.set(block, (blocks.get(block) ?? 0) + count);
  }
  return [...blocks].map(([block, count]) => (count > 1 ? `${block} (${count})` : block));
}
