/** How well a detector knows words, as a section of a report and as a page of its own. */
import { type Markup, type MarkupValue, markup } from '../base/markup.ts';
import type { AbsentScore, ParaphraseScores, SeenScores, VocabularyNumber } from '../evaluate/open-vocabulary.ts';
import { points } from '../evaluate/points.ts';
import { type StepValue, stepChart } from './charts.ts';
import { chartCard, page, type Section, tableCard } from './page.ts';
import {
  alarmCells,
  alarmChangeCells,
  categoryCount,
  changeCells,
  differenceCells,
  precisionCells,
} from './vocabulary-cells.ts';

/** What the page is about. */
export interface Vocabulary {
  readonly images: number;
  readonly seen?: SeenScores | undefined;
  readonly paraphrases?: ParaphraseScores | undefined;
  readonly absent?: readonly AbsentScore[] | undefined;
  readonly threshold: number;
  readonly notes: readonly string[];
}

/**
 * Renders the result as one HTML file.
 * @param name the name of the model
 */
export function renderVocabulary(name: string, result: Vocabulary): string {
  return page(`${name}: how well it knows words`, lead(result), questions(result));
}

/** The section of a report; none without a result. */
export function vocabularySections(
  measured: { readonly name: string; readonly against?: string | undefined; readonly result: Vocabulary } | undefined,
): Section[] {
  if (!measured) return [];
  const { name, against, result } = measured;
  const models = markup`<p>The model is ${name}${against === undefined ? '' : `, and the other model is ${against}`}.</p>`;
  const parts = questions(result).map(({ title, body }) => markup`<h3>${title}</h3>${body}\n`);
  return [{ id: 'words', title: 'How well it knows words', body: markup`${models}${lead(result)}${parts}` }];
}

function lead({ images, notes }: Vocabulary): Markup {
  return markup`<p>Measured on ${images} images. Intervals are of 95 % confidence, by drawing the images again and again.</p>
${notes.map((sentence) => markup`<p>${sentence}</p>\n`)}`;
}

/** A section for each question that was asked: a table, and charts over the number of absent phrases. */
function questions({ seen, paraphrases, absent, threshold }: Vocabulary): Section[] {
  return [
    ...(seen
      ? [{ id: 'unseen', title: 'Phrases that training saw, and those it never saw', body: seenPart(seen) }]
      : []),
    ...(paraphrases
      ? [{ id: 'paraphrases', title: 'Other phrases for the same objects', body: paraphrasePart(paraphrases) }]
      : []),
    ...(absent
      ? [{ id: 'absent', title: 'Phrases that name nothing in the image', body: absentPart(absent, threshold) }]
      : []),
  ];
}

/** Whether there is another model. JSON leaves out a change that is not known, so that one number alone does not tell. */
const isCompared = (...numbers: readonly VocabularyNumber[]): boolean => numbers.some((number) => 'change' in number);

/** A number with what belongs to it below it, as far as it is known. */
const stacked = ([value = '', ...below]: readonly string[]): Markup =>
  markup`${value}${below.filter((text) => text !== '–').map((text) => markup`<small>${text}</small>`)}`;

/** The cell of the change from the other model, if there is one. */
const change = (number: VocabularyNumber, compared: boolean): Markup[] =>
  compared ? [stacked(changeCells(number))] : [];
const CHANGED = 'change from the other model';

function seenPart({ seen, unseen, difference: apart, seenCategories, unseenCategories }: SeenScores): Markup {
  const compared = isCompared(seen, unseen, apart);
  return tableCard({
    caption: 'Average precision apart, with 95 % intervals',
    columns: ['Phrases', 'AP', ...(compared ? [CHANGED] : [])],
    rows: [
      [`seen (${categoryCount(seenCategories)})`, stacked(precisionCells(seen)), ...change(seen, compared)],
      [`never seen (${categoryCount(unseenCategories)})`, stacked(precisionCells(unseen)), ...change(unseen, compared)],
      ['never seen − seen', stacked(differenceCells(apart)), ...change(apart, compared)],
    ],
  });
}

function paraphrasePart({ phrases, mean }: ParaphraseScores): Markup {
  type Numbers = ParaphraseScores['mean'];
  const compared = isCompared(mean.original, mean.paraphrased);
  const row = (category: string, phrase: string, numbers: Numbers): MarkupValue[] => [
    category,
    phrase,
    points(numbers.original.value ?? -1),
    points(numbers.paraphrased.value ?? -1),
    stacked(differenceCells(numbers.difference)),
    ...change(numbers.paraphrased, compared),
  ];
  return tableCard({
    caption: 'Average precision of a category by its name, and by a phrase in its place, with 95 % intervals',
    columns: [
      'Category',
      { heading: 'phrase in its place', isText: true },
      'AP by its name',
      'AP',
      'difference',
      ...(compared ? [CHANGED] : []),
    ],
    rows: [...phrases.map((each) => row(each.category, each.phrase, each)), row('mean', '', mean)],
  });
}

function absentPart(rows: readonly AbsentScore[], threshold: number): Markup {
  const compared = isCompared(...rows.map(({ averagePrecision }) => averagePrecision));
  const chart = (title: string, numberOf: (row: AbsentScore) => VocabularyNumber, unit: number) => {
    const values = rows.flatMap((row): StepValue[] => {
      const { value, interval } = numberOf(row);
      const scaled = (end: number | undefined) => (end === undefined ? undefined : unit * end);
      const [low, high] = [scaled(interval?.low), scaled(interval?.high)];
      return value === undefined ? [] : [{ step: `${row.absent}`, value: unit * value, low, high }];
    });
    return chartCard(title, stepChart(title, 'absent phrases', values, 2));
  };
  const table = tableCard({
    caption: 'False alarms and average precision by the number of absent phrases, with 95 % intervals',
    columns: [
      'Absent phrases',
      'all phrases',
      'false alarms an image',
      ...(compared ? [CHANGED] : []),
      'AP',
      'change by absent phrases',
      ...(compared ? [CHANGED] : []),
    ],
    rows: rows.map(({ absent, phrases, falseAlarms, averagePrecision, difference: lost }) => [
      absent,
      phrases.toFixed(1),
      stacked(alarmCells(falseAlarms)),
      ...(compared ? [stacked(alarmChangeCells(falseAlarms))] : []),
      stacked(precisionCells(averagePrecision)),
      stacked(differenceCells(lost)),
      ...change(averagePrecision, compared),
    ]),
  });
  return markup`<p>A false alarm is a box of an absent phrase with a score of at least ${threshold}.</p>
<div class="charts">${chart('AP (points)', ({ averagePrecision }) => averagePrecision, 100)}
${chart('False alarms an image', ({ falseAlarms }) => falseAlarms, 1)}</div>${table}`;
}
