/** How well a detector knows words, as a section of a report and as a page of its own. */
import { basename } from 'node:path';
import { type Markup, type MarkupValue, markup } from '../base/markup.ts';
import type { AbsentScore, ParaphraseScores, SeenScores, VocabularyNumber } from '../evaluate/open-vocabulary.ts';
import { points } from '../evaluate/points.ts';
import { lineChart } from './charts.ts';
import { type Column, page, type Section, tableCard, wideChartCard } from './page.ts';
import { changeCells, differenceCells, precisionCells } from './vocabulary-cells.ts';

/** What the page is about. */
export interface Vocabulary {
  readonly images: number;
  readonly seen?: SeenScores | undefined;
  readonly paraphrases?: ParaphraseScores | undefined;
  readonly absent?: readonly AbsentScore[] | undefined;
  readonly threshold: number;
}

/**
 * Renders the result as one HTML file.
 * @param name the path of the model, of which the page has the name alone
 */
export function renderVocabulary(name: string, result: Vocabulary): string {
  const lead = markup`<p>Of ${result.images} images; intervals are of 95 % confidence, by drawing the images again and again.</p>`;
  return page(`${basename(name)}: how well it knows words`, lead, vocabularySections(result));
}

/** A section for each question that was asked: a table, and charts over the number of absent phrases. */
function vocabularySections({ seen, paraphrases, absent, threshold }: Vocabulary): Section[] {
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

/** The field is there, known or not, where there is another model. */
const isCompared = (number: VocabularyNumber): boolean => 'change' in number;
const CHANGED: readonly (string | Column)[] = [
  'change',
  '95 % interval of the change',
  { heading: 'meaning', isText: true },
];

/** The cells of the change from the other model, if there is one. */
const change = (number: VocabularyNumber, compared: boolean): string[] => (compared ? changeCells(number) : []);

function seenPart({ seen, unseen, difference: apart, seenCategories, unseenCategories }: SeenScores): Markup {
  const compared = isCompared(seen);
  return tableCard({
    caption: 'Average precision apart',
    columns: ['Phrases', 'AP', '95 % interval', ...(compared ? CHANGED : [])],
    rows: [
      [`seen (${seenCategories})`, ...precisionCells(seen), ...change(seen, compared)],
      [`never seen (${unseenCategories})`, ...precisionCells(unseen), ...change(unseen, compared)],
      ['never seen − seen', ...differenceCells(apart), ...change(apart, compared)],
    ],
  });
}

function paraphrasePart({ phrases, mean }: ParaphraseScores): Markup {
  type Numbers = ParaphraseScores['mean'];
  const compared = isCompared(mean.original);
  const row = (category: string, phrase: string, numbers: Numbers): MarkupValue[] => [
    category,
    phrase,
    points(numbers.original.value ?? -1),
    points(numbers.paraphrased.value ?? -1),
    ...differenceCells(numbers.difference),
    ...change(numbers.paraphrased, compared),
  ];
  return tableCard({
    caption: 'Average precision of a category by its name, and by a phrase in its place',
    columns: [
      'Category',
      { heading: 'phrase in its place', isText: true },
      'AP by its name',
      'AP',
      'difference',
      '95 % interval',
      ...(compared ? CHANGED : []),
    ],
    rows: [...phrases.map((each) => row(each.category, each.phrase, each)), row('mean', '', mean)],
  });
}

function absentPart(rows: readonly AbsentScore[], threshold: number): Markup {
  const compared = rows.some(({ averagePrecision }) => isCompared(averagePrecision));
  const chart = (title: string, value: (row: AbsentScore) => number) =>
    wideChartCard(
      title,
      lineChart(
        title,
        { x: 'phrases of a prompt, on average', y: title },
        rows.map((row) => ({ x: row.phrases, y: value(row), label: `${row.absent} absent` })),
      ),
    );
  const table = tableCard({
    caption: 'False alarms and average precision by the number of absent phrases',
    columns: [
      'Absent phrases',
      'all phrases',
      'false alarms an image',
      'AP',
      '95 % interval',
      'lost by absent phrases',
      '95 % interval of the loss',
      ...(compared ? CHANGED : []),
    ],
    rows: rows.map(({ absent, phrases, falseAlarms, averagePrecision, difference: lost }) => [
      absent,
      phrases.toFixed(1),
      (falseAlarms.value ?? 0).toFixed(2),
      ...precisionCells(averagePrecision),
      ...differenceCells(lost),
      ...change(averagePrecision, compared),
    ]),
  });
  return markup`<p>A false alarm is a box of an absent phrase with a score from ${threshold}.</p>
${chart('AP (points)', ({ averagePrecision }) => 100 * (averagePrecision.value ?? 0))}
${chart('False alarms an image', ({ falseAlarms }) => falseAlarms.value ?? 0)}${table}`;
}
