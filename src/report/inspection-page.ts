/** The result of `inspectModel`, as a section of a report and as a page of its own. */
import { type Markup, markup } from '../base/markup.ts';
import type { Inspection, ModuleCost } from '../evaluate/inspect.ts';
import { barChart } from './charts.ts';
import { chartCard, folded, page, tableCard } from './page.ts';
import { planTable } from './plan-table.ts';

/**
 * Renders tables and charts of one model as one HTML file.
 * @param name the name of the model
 */
export function renderInspection(name: string, inspection: Inspection): string {
  const { plan } = inspection;
  const planned = plan ? [{ id: 'layers', title: 'Quantized layers', body: planTable([{ name, plan }]) }] : [];
  return page(`${name}, module by module`, inspectionSection(inspection), planned);
}

/** Charts of the parameters, multiply-adds and time of each module, and a table of the sensitive parts. */
export function inspectionSection({ modules, sensitive, total }: Inspection): Markup {
  const charts = [
    chartCard(
      'Parameters (millions)',
      moduleChart(modules, 'parameters', 'M', ({ parameters }) => parameters / 1e6),
    ),
    chartCard(
      'Multiply-adds (billions)',
      moduleChart(modules, 'multiply-adds', 'G', (cost) => cost.multiplyAdds / 1e9),
    ),
  ];
  if (total.seconds !== undefined)
    charts.push(
      chartCard(
        'Time (ms)',
        moduleChart(modules, 'time', 'ms', ({ seconds = 0 }) => seconds * 1000),
      ),
    );
  const parts = tableCard({
    caption: 'Parts that lose most accuracy in 8 bits by experience, and why',
    columns: ['Part', 'in INT8', { heading: 'Why', isText: true }],
    rows: sensitive.map((part) => [part.path, integerShare(part), part.reason]),
  });
  const costs = tableCard({
    caption: 'Each module in numbers',
    columns: [
      'Module',
      'parameters',
      'bytes',
      'multiply-adds',
      'in INT8',
      ...(total.seconds === undefined ? [] : ['time']),
    ],
    rows: modules.map((cost) => [
      shortName(cost.path),
      `${(cost.parameters / 1e6).toFixed(3)} M`,
      `${(cost.bytes / 1e6).toFixed(3)} MB`,
      `${(cost.multiplyAdds / 1e9).toFixed(3)} G`,
      integerShare(cost),
      ...(total.seconds === undefined ? [] : [`${(1000 * (cost.seconds ?? 0)).toFixed(2)} ms`]),
    ]),
  });
  return markup`<div class="charts">${charts}</div>${folded('The same in numbers', costs)}${parts}`;
}

const MAX_BARS = 24;

/** A bar for each module; of very many modules only those with the largest values. */
function moduleChart(
  modules: readonly ModuleCost[],
  title: string,
  unit: string,
  value: (cost: ModuleCost) => number,
): Markup {
  const bars = modules.map((module) => ({ name: shortName(module.path), value: value(module) }));
  const shown = bars.length > MAX_BARS ? bars.toSorted((a, b) => b.value - a.value).slice(0, MAX_BARS) : bars;
  return barChart(title, unit, shown, 2);
}

const shortName = (path: string) => path.replace(/^model\./, '') || '(graph)';

/** The fraction of a part's multiply-adds that are computed on 8-bit integers, in percent. */
function integerShare({ integerMultiplyAdds, multiplyAdds }: ModuleCost): string {
  return multiplyAdds > 0 ? `${((100 * integerMultiplyAdds) / multiplyAdds).toFixed(1)} %` : '–';
}
