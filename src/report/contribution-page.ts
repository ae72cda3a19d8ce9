/** The contributions of the modules, as a section of a report and as a page of its own. */
import { decimal, shareInPercent } from '../base/format.ts';
import { type Markup, type MarkupValue, markup } from '../base/markup.ts';
import type { ModuleContribution, PrecisionContribution, PrecisionSummary, Saving } from '../evaluate/contribution.ts';
import { points, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import { barChart } from './charts.ts';
import { chartCard, page, type Section, tableCard } from './page.ts';

/** What the page is about. */
export interface Contributions {
  readonly recipe: string;
  readonly modules: readonly ModuleContribution[];
  readonly averagePrecision?: PrecisionSummary | undefined;
  readonly rounds: number;
}

/**
 * Renders the contributions of the modules as one HTML file.
 * @param name the name of the model
 */
export function renderContribution(name: string, contributions: Contributions): string {
  return page(`${name}: what each module brings in 8 bits`, contributionBody(name, contributions));
}

/** The section of a report; none without contributions. */
export function contributionSections(
  contribution: { readonly name: string; readonly contributions: Contributions } | undefined,
): Section[] {
  if (!contribution) return [];
  const { name, contributions } = contribution;
  return [
    { id: 'contribution', title: 'What each module saves and costs', body: contributionBody(name, contributions) },
  ];
}

/** Tables and charts of what each module saves and costs. */
function contributionBody(name: string, { recipe, modules, averagePrecision, rounds }: Contributions): Markup {
  const bytes = modules.map(({ name, bytes }) => ({ name, saving: scaled(bytes, 1e6) }));
  const seconds = modules.flatMap(({ name, seconds }) =>
    seconds ? [{ name, saving: scaled(middle(seconds), 1e-3) }] : [],
  );
  const timed =
    seconds.length > 0
      ? markup`<p>Times are medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'} in which the models took turns. The text encoder runs in each of them; in use it runs once for a prompt.</p>${savingTable('ms', seconds)}`
      : '';
  const charts = [
    chartCard('Saved megabytes', savingChart('MB', bytes)),
    ...(seconds.length > 0 ? [chartCard('Saved milliseconds', savingChart('ms', seconds))] : []),
  ];
  return markup`<p>The model is ${name}, quantized by the recipe ${recipe}. Charts show the modules that save; the tables have all.</p>
<div class="charts">${charts}</div>
${savingTable('MB', bytes)}
${timed}
${averagePrecision ? precisionPart(modules, averagePrecision) : ''}`;
}

interface NamedSaving {
  readonly name: string;
  readonly saving: Saving<number>;
}

const scaled = ({ float, quantized, saved, share }: Saving<number>, unit: number): Saving<number> => ({
  float: float / unit,
  quantized: quantized / unit,
  saved: saved / unit,
  share,
});

const middle = ({ float, quantized, saved, share }: NonNullable<ModuleContribution['seconds']>): Saving<number> => ({
  float: float.median,
  quantized: quantized.median,
  saved: saved.median,
  share,
});

function savingTable(unit: string, rows: readonly NamedSaving[]): Markup {
  return tableCard({
    caption: unit === 'MB' ? 'Bytes of each module' : 'Time of each module',
    columns: ['Module', `FP32 (${unit})`, `INT8 (${unit})`, 'saved', 'share of what is saved'],
    rows: rows.map(({ name, saving: { float, quantized, saved, share } }) => [
      name,
      decimal(float),
      decimal(quantized),
      decimal(saved),
      shareInPercent(share),
    ]),
  });
}

function savingChart(unit: string, rows: readonly NamedSaving[]): Markup {
  const bars = rows.filter(({ saving }) => saving.saved > 0).map(({ name, saving }) => ({ name, value: saving.saved }));
  return barChart(`saved by each module (${unit})`, unit, bars, 2);
}

function precisionPart(modules: readonly ModuleContribution[], summary: PrecisionSummary): Markup {
  const cells = (name: string, { change, interval, share }: PrecisionContribution): MarkupValue[] => [
    name,
    signedPoints(change),
    signedInterval(interval),
    verdict(interval),
    shareInPercent(share),
  ];
  const rows = modules.flatMap(({ name, averagePrecision }) =>
    averagePrecision ? [cells(`only the ${name}`, averagePrecision)] : [],
  );
  return markup`<p>One module is quantized at a time. FP32 has ${points(summary.float)} AP on ${summary.images} images, INT8 ${points(summary.quantized)}. What the modules do to each other is the change of the whole without those of the modules alone.</p>
${tableCard({
  caption: 'Change of AP by each module',
  columns: ['Quantized', 'change of AP', '95 % interval', { heading: 'meaning', isText: true }, 'share'],
  rows: [...rows, cells('what they do to each other', summary.together), cells('the whole', summary.whole)],
})}`;
}
