/** What `inspectModel` found, as a part of a report and as a page of its own. */
import type { Inspection, ModuleCost } from '../evaluate/inspect.ts';
import { barChart } from './charts.ts';
import { escapeHtml, page } from './page.ts';

/** A page with the tables and charts of one model. */
export function renderInspection(name: string, inspection: Inspection): string {
  return page(`${name}, module by module`, inspectionSection(inspection));
}

/** Charts of parameters, work and time of each module, and the sensitive parts. */
export function inspectionSection({ modules, sensitive, total }: Inspection): string {
  const charts: [string, string][] = [
    ['Parameters (millions)', moduleChart(modules, 'parameters', 'M', ({ parameters }) => parameters / 1e6)],
    ['Multiply-adds (billions)', moduleChart(modules, 'multiply-adds', 'G', (cost) => cost.multiplyAdds / 1e9)],
  ];
  if (total.seconds !== undefined)
    charts.push(['Time (ms)', moduleChart(modules, 'time', 'ms', ({ seconds = 0 }) => seconds * 1000)]);
  const rows = sensitive.map(
    (part) =>
      `<tr><td>${escapeHtml(part.path)}</td><td>${integerShare(part)}</td><td class="text">${escapeHtml(part.reason)}</td></tr>`,
  );
  return `<div class="charts">${charts.map(([title, svg]) => `<div class="card"><h3>${title}</h3>${svg}</div>`).join('')}</div>
<h2>What loses most in 8 bits, and why</h2><div class="card"><table><thead><tr><th>Part</th><th>in INT8</th><th class="text">Why</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function moduleChart(
  modules: readonly ModuleCost[],
  what: string,
  unit: string,
  value: (cost: ModuleCost) => number,
): string {
  const bars = modules.map((module) => ({ name: shortName(module.path), value: value(module) }));
  const MOST_BARS = 24;
  const shown = bars.length > MOST_BARS ? bars.toSorted((a, b) => b.value - a.value).slice(0, MOST_BARS) : bars;
  return barChart(what, unit, shown, 2, { labelWidth: 190, oneColour: true });
}

const shortName = (path: string) => path.replace(/^model\./, '') || '(graph)';

function integerShare({ integerMultiplyAdds, multiplyAdds }: ModuleCost): string {
  return multiplyAdds > 0 ? `${((100 * integerMultiplyAdds) / multiplyAdds).toFixed(1)} %` : '–';
}
