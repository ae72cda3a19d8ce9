/** The section of a report about errors: their causes, and the objects that quantization loses and gains. */
import { markup } from '../base/markup.ts';
import { ERROR_CAUSES } from '../evaluate/errors/find-errors.ts';
import { points, signedPoints } from '../evaluate/points.ts';
import { CAUSES, rowsOfGroups } from './error-words.ts';
import { folded, type Section, tableCard } from './page.ts';
import type { NamedConfusion, ReportedVariant, VariantErrors } from './variants.ts';

/** The categories of a table of confusions: more do not fit a page. */
const MOST_CONFUSED = 8;
/** The categories of the table of lost and gained objects. */
const MOST_ROWS = 12;

/** The errors of a variant with its name. */
interface KnownErrors {
  readonly name: string;
  readonly errors: VariantErrors;
}

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
${tableCard({ caption: `Objects found with boxes that score at least ${threshold}, by size and occlusion`, columns: ['Objects', ...columns], rows: groups })}
${changesByCategory(known, reference.name)}
${confusionTables(known)}`,
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

/** The categories whose objects are lost and gained most. */
function changesByCategory(known: readonly KnownErrors[], reference: string) {
  const changed = known.flatMap(({ name, errors: { change } }) =>
    change?.categories ? [{ name, of: new Map(change.categories.map((each) => [each.name, each])) }] : [],
  );
  const totals = new Map<string, number>();
  for (const { of } of changed)
    for (const [name, { lost, gained }] of of) totals.set(name, (totals.get(name) ?? 0) + lost + gained);
  if (totals.size === 0) return '';
  const rows = mostOf(totals, MOST_ROWS).map((category) => [
    category,
    ...changed.map(({ of }) => `${of.get(category)?.lost ?? 0} lost, ${of.get(category)?.gained ?? 0} gained`),
  ]);
  const which = totals.size > rows.length ? `, the ${rows.length} phrases with most` : '';
  return tableCard({
    caption: `Objects lost and gained against ${reference}, by phrase${which}`,
    columns: ['Phrase', ...changed.map(({ name }) => name)],
    rows,
  });
}

/** A table for each variant, all of the same categories, so that they can be compared. */
function confusionTables(known: readonly KnownErrors[]) {
  const totals = new Map<string, number>();
  for (const { errors } of known)
    for (const { object, detected, count } of errors.confusions ?? [])
      for (const name of [object, detected]) totals.set(name, (totals.get(name) ?? 0) + count);
  if (totals.size === 0) return '';
  const names = mostOf(totals, MOST_CONFUSED);
  const which =
    totals.size > names.length ? ` The ${names.length} phrases of ${totals.size} that are confused most.` : '';
  const tables = known.map(({ name, errors: { confusions = [], threshold } }) =>
    tableCard({
      caption: `${name}: boxes that score at least ${threshold} on objects of the row, with the phrase of the column`,
      columns: ['Object', ...names],
      rows: names.map((object) => [object, ...names.map((detected) => confusedIn(confusions, object, detected))]),
    }),
  );
  return folded('Which phrase is taken for which', markup`<p>Right boxes are not counted.${which}</p>${tables}`);
}

function confusedIn(confusions: readonly NamedConfusion[], object: string, detected: string): string {
  if (object === detected) return '–';
  return `${confusions.find((each) => each.object === object && each.detected === detected)?.count ?? 0}`;
}

/** The names with the largest numbers. */
const mostOf = (numbers: ReadonlyMap<string, number>, most: number): string[] =>
  [...numbers]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name]) => name);
