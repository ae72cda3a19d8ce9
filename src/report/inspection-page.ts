/** The result of `inspectModel`, as a section of a report and as a page of its own. */
import { type Markup, markup } from '../base/markup.ts';
import type { Inspection, ModuleCost } from '../evaluate/inspect.ts';
import { barChart } from './charts.ts';
import { chartCard, page, tableCard } from './page.ts';
import { planTable } from './plan-table.ts';

/**
 * Renders tables and charts of one model as one HTML file.
 * @param name the name of the model
 */
export function renderInspection(name: string, inspection: Inspection): string {
  const { plan } = inspection;
  const planned = plan ? markup`<h2>Quantized layers</h2>${planTable([{ name, plan }])}` : '';
  return page(`${name}, module by module`, markup`${inspectionSection(inspection)}${planned}`);
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
  const parts = tableCard(
    ['Part', 'in INT8', { heading: 'Why', isText: true }],
    sensitive.map((part) => [part.path, integerShare(part), part.reason]),
  );
  return markup`<div class="charts">${charts}</div>
<h2>Parts that lose most accuracy in 8 bits, and why</h2>${parts}`;
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
  return barChart(title, unit, shown, 2, { labelWidth: 190, oneColour: true });
}

const shortName = (path: string) => path.replace(/^model\./, '') || '(graph)';

/** The fraction of a part's multiply-adds that are computed on 8-bit integers, in percent. */
function integerShare({ integerMultiplyAdds, multiplyAdds }: ModuleCost): string {
  return multiplyAdds > 0 ? `${((100 * integerMultiplyAdds) / multiplyAdds).toFixed(1)} %` : '–';
}
