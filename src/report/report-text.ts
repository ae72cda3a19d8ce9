/** A report as text: Markdown for people, CSV for programs. */

import { threadsInWords } from '../base/format.ts';
import { showHidden } from '../base/printable.ts';
import { quantile } from '../base/statistics.ts';
import { ERROR_CAUSES } from '../evaluate/errors/find-errors.ts';
import { points, pointsInterval, signedInterval, signedPoints } from '../evaluate/points.ts';
import { FIGURES } from '../evaluate/score-matches.ts';
import type { ReportContent } from './report-content.ts';
import { decide, memoryGain, sizeGain, speedGain } from './verdict.ts';

/** Text in which nothing is markup: names come from files. */
const plain = (text: string): string =>
  showHidden(text)
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_[\]<>#|&]/g, (character) => `\\${character}`);

/** The answer and a table of the variants, as GitHub's Markdown. */
export function renderMarkdown({ title, variants, allowedDrop, provenance }: ReportContent): string {
  const { answer, advice, rule, recommendation } = decide(variants, allowedDrop);
  const [reference] = variants;
  const ratio = (value: number | undefined) => (value === undefined ? '' : ` (${value.toFixed(2)}×)`);
  const rows = variants.map((variant) => {
    const { name, figures, intervals, change, medianSeconds, fileBytes, peakMemoryBytes } = variant;
    const gain = (of: typeof sizeGain) =>
      reference && variant !== reference ? ratio(of(variant, reference)?.ratio) : '';
    return [
      `${plain(name)}${name === recommendation.variant ? ' **(ship)**' : ''}`,
      figures ? `${points(figures.AP)}${intervals?.AP ? ` (${pointsInterval(intervals.AP)})` : ''}` : '–',
      change?.AP ? `${signedPoints(change.AP.value)} (${signedInterval(change.AP)})` : '–',
      medianSeconds === undefined ? '–' : `${(1000 * medianSeconds).toFixed(1)} ms${gain(speedGain)}`,
      fileBytes === undefined ? '–' : `${(fileBytes / 1e6).toFixed(1)} MB${gain(sizeGain)}`,
      peakMemoryBytes === undefined ? '–' : `${(peakMemoryBytes / 1e6).toFixed(0)} MB${gain(memoryGain)}`,
    ];
  });
  const heading = ['Variant', 'AP (95 % interval)', 'Change of AP', 'Latency', 'File', 'Peak memory'];
  const table = [heading, heading.map((_, column) => (column === 0 ? ':--' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
  const made = provenance
    ? `\nScored on ${provenance.dataset.images} images of ${plain(provenance.dataset.name)}; ${plain(provenance.machine.processor)}, ${threadsInWords(provenance.threads)}; dino8 ${plain(provenance.versions.dino8)}, ${provenance.date.slice(0, 10)}.\n`
    : '';
  return `# ${plain(title)}\n\n**${plain(answer)}**\n${advice === undefined ? '' : `\n${plain(advice)}\n`}\n${rule}\n\n${table}\n${made}`;
}

/** A line for each variant. Figures are from 0 to 1, times in seconds, sizes in bytes; what was not measured is empty. */
export function renderCsv({ variants, allowedDrop }: ReportContent): string {
  const { recommendation } = decide(variants, allowedDrop);
  const [reference] = variants;
  const rows = variants.map((variant, index) => {
    const { name, figures, intervals, change, errors, runSeconds = [] } = variant;
    const gain = reference && index > 0 ? speedGain(variant, reference) : undefined;
    const status = recommendation.judged[index]?.status;
    return {
      variant: name,
      decision: name === recommendation.variant ? recommendation.decision : '',
      loss: status ?? '',
      file_bytes: variant.fileBytes,
      peak_memory_bytes: variant.peakMemoryBytes,
      median_seconds: variant.medianSeconds,
      seconds_10_percent: runSeconds.length > 1 ? quantile(runSeconds, 0.1) : undefined,
      seconds_90_percent: runSeconds.length > 1 ? quantile(runSeconds, 0.9) : undefined,
      speedup: gain?.ratio,
      speedup_low: gain?.low,
      speedup_high: gain?.high,
      ...Object.fromEntries(
        FIGURES.flatMap(({ name: figure }) => [
          [figure, figures?.[figure]],
          [`${figure}_low`, intervals?.[figure]?.low],
          [`${figure}_high`, intervals?.[figure]?.high],
          [`${figure}_change`, change?.[figure]?.value],
          [`${figure}_change_low`, change?.[figure]?.low],
          [`${figure}_change_high`, change?.[figure]?.high],
        ]),
      ),
      ...Object.fromEntries(
        ERROR_CAUSES.flatMap((cause) => [
          [`${cause}_errors`, errors?.analysis.causes[cause].count],
          [`${cause}_AP50_gain`, errors?.analysis.causes[cause].gain],
        ]),
      ),
      objects_lost: errors?.change?.lost,
      objects_gained: errors?.change?.gained,
    };
  });
  const lines = [Object.keys(rows[0] ?? {}), ...rows.map((row) => Object.values(row))];
  return lines.map((cells) => `${cells.map((cell) => csvCell(cell ?? '')).join(',')}\r\n`).join('');
}

/** A text that a spreadsheet would take for a formula is marked as text. */
function csvCell(value: string | number): string {
  if (typeof value === 'number') return `${value}`;
  const text = showHidden(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
