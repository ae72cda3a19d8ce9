/** The section of a report about errors: their causes, and the objects that quantization loses and gains. */
import { markup } from '../base/markup.ts';
import { ERROR_CAUSES } from '../evaluate/errors/find-errors.ts';
import { points, signedPoints } from '../evaluate/points.ts';
import { CAUSES, rowsOfGroups } from './error-words.ts';
import { type Section, tableCard } from './page.ts';
import type { ReportedVariant, VariantErrors } from './variants.ts';

/** Nothing if the errors of no variant are known. */
export function errorSections(variants: readonly ReportedVariant[]): Section[] {
  const known = variants.flatMap(({ name, errors }) => (errors ? [{ name, errors }] : []));
  const [[first], [reference]] = [known, variants];
  if (!first || !reference) return [];
  const { threshold } = first.errors;
  const before = reference.errors?.analysis;
  const causes = ERROR_CAUSES.map((cause) => [
    CAUSES[cause],
    ...known.map(({ errors: { analysis } }) => {
      const { count, gain } = analysis.causes[cause];
      const isOther = before !== undefined && analysis !== before;
      return markup`${points(gain)}<small>${count} ${count === 1 ? 'error' : 'errors'}</small>${isOther ? markup`<small>change ${signedPoints(gain - before.causes[cause].gain)}</small>` : ''}`;
    }),
  ]);
  const groups = rowsOfGroups(first.errors.groups).map(({ title }, row) => [
    title,
    ...known.map(({ errors }) => foundIn(errors, row)),
  ]);
  const columns = known.map(({ name }) => name);
  const changes = known.flatMap(({ name, errors: { change } }) =>
    change
      ? [
          `${name} misses ${change.lost} that ${reference.name} finds${change.lostMargin === undefined ? '' : ` (their boxes had scored ${change.lostMargin.toFixed(2)} above that, in the median)`}, and finds ${change.gained} that ${reference.name} misses`,
        ]
      : [],
  );
  return [
    {
      id: 'errors',
      title: 'Errors',
      body: markup`<p>The cause of each error as TIDE defines it (ECCV 2020), and the points of AP50 that correcting all errors of this cause would add${before && known.length > 1 ? `, with the change against ${reference.name}` : ''}.</p>
${tableCard({ caption: 'What errors cost, in points of AP50, by cause', columns: ['Cause', ...columns], rows: causes })}
${changes.length > 0 ? markup`<p>Objects found with boxes that score at least ${threshold}: ${changes.join('; ')}.</p>` : ''}
${tableCard({ caption: `Objects found with boxes that score at least ${threshold}, by size and occlusion`, columns: ['Objects', ...columns], rows: groups })}`,
    },
  ];
}

function foundIn({ groups, change }: VariantErrors, row: number) {
  const counts = rowsOfGroups(groups)[row]?.value;
  const changed = change && rowsOfGroups(change.groups)[row]?.value;
  if (!counts || counts.total === 0) return '–';
  const percent = `${((100 * counts.found) / counts.total).toFixed(1)} %`;
  const difference = changed ? `, ${changed.lost} lost, ${changed.gained} gained` : '';
  return markup`${percent}<small>${counts.found} of ${counts.total}${difference}</small>`;
}
