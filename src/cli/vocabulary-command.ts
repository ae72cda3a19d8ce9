import { Command } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { splitPhrases } from '../data/phrases.ts';
import { readPhrases } from '../data/read-phrases.ts';
import type { AbsentScore, ParaphraseScores, SeenScores, VocabularyNumber } from '../evaluate/open-vocabulary.ts';
import { points } from '../evaluate/points.ts';
import { VOCABULARY_DEFAULTS } from '../pipeline/vocabulary-options.ts';
import { vocabulary } from '../pipeline/vocabulary-step.ts';
import {
  alarmCells,
  alarmChangeCells,
  categoryCount,
  changeCells,
  differenceCells,
  precisionCells,
} from '../report/vocabulary-cells.ts';
import { addDatasetOptions, DATASET_ARGUMENT, separateDataset } from './dataset-options.ts';
import { examples } from './examples.ts';
import { keepsOnInterruption } from './interruption.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import {
  emaOption,
  fraction,
  jsonOption,
  overwriteOption,
  seedOption,
  threadsOption,
  tokenizerOption,
  wholeNumber,
} from './shared-options.ts';
import { table } from './table.ts';

/** `dino8 vocabulary` */
export const vocabularyCommand = () =>
  addDatasetOptions(
    new Command('vocabulary')
      .description(
        'Measure how well a detector knows words: average precision (AP) apart for phrases that training never saw (--unseen), by synonyms and paraphrases (--paraphrases), and in prompts with phrases that name nothing in the image, with the false alarms that they raise (--absent). All with 95 % confidence intervals.',
      )
      .argument('<model>', 'an ONNX file or folder that dino8 wrote, or a checkpoint')
      .argument('<dataset>', DATASET_ARGUMENT)
      .option('--against <model>', 'another model, such as the float one, to compute the changes from')
      .option('--images <count>', 'use the first <count> images', wholeNumber('--images'), VOCABULARY_DEFAULTS.images)
      .option(
        '--seen <list>',
        'the names of the categories that training saw, separated by commas; the others are unseen',
      )
      .option('--seen-file <file>', 'the same from a file, one name on each line or a list in JSON')
      .option('--unseen <list>', 'the names of the categories that training never saw; the others are seen')
      .option(
        '--paraphrases <file>',
        'a YAML or JSON file of other phrases by the names of categories, such as "car: [automobile, motor car]"; each phrase takes a pass over the images',
      )
      .option(
        '--absent',
        'add to the phrases of what an image shows 1, 2, 4 … of the other categories of the data set, which it does not show; each number takes a pass over the images',
      )
      .option(
        '--absent-file <file>',
        'the same with phrases from a file, one on each line, that name nothing in any of the images',
      )
      .option(
        '--threshold <score>',
        'the score from which a box of an absent phrase is a false alarm, from 0 to 1',
        fraction('--threshold'),
        VOCABULARY_DEFAULTS.threshold,
      )
      .addOption(seedOption()),
  )
    .option(
      '-o, --output <file>',
      'write the result as JSON; interrupted work is kept in the folder <file>.partial and continues there',
    )
    .option('--report <file>', 'write tables and charts as one HTML file')
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 vocabulary assets/nano assets/shapes/val --unseen "red star, green ring, blue triangle" --absent',
        "echo 'red circle: [crimson circle, red disc]' > words.yaml && dino8 vocabulary assets/nano assets/shapes/val --paraphrases words.yaml",
        'dino8 vocabulary int8.onnx assets/shapes/val --against fp32.onnx --absent -o vocabulary.json',
      ),
    )
    .action(async (model, dataset, { json, ...given }) => {
      const { named, others } = separateDataset(given);
      const { seen, seenFile, unseen, absent, absentFile, ...options } = others;
      if (seen !== undefined && seenFile !== undefined)
        throw new UsageError('--seen and --seen-file both say what training saw; give one of them.');
      if (absent && absentFile !== undefined)
        throw new UsageError(
          '--absent takes the categories of the data set and --absent-file others; give one of them.',
        );
      keepsOnInterruption(options.output && `${options.output}.partial`);
      const result = await vocabulary({
        ...options,
        model,
        dataset: named(dataset),
        seen: seenFile === undefined ? namesOf(seen) : await linesOf(seenFile),
        unseen: namesOf(unseen),
        absent: absentFile === undefined ? absent : await linesOf(absentFile),
        ...work(),
      });
      if (json) return printJson(result);
      const isCompared = options.against !== undefined;
      const parts = [
        result.seen && seenTable(result.seen, isCompared),
        result.paraphrases && paraphraseTable(result.paraphrases, isCompared),
        result.absent && absentTable(result.absent, result.threshold, isCompared),
      ].filter((part) => part !== undefined);
      print(parts.join('\n\n'));
      if (result.notes.length > 0) print(`\n${result.notes.join('\n')}`);
      print(
        `\nMeasured on ${result.images} images. Intervals are of 95 % confidence, by drawing the images again and again.`,
      );
    });

const namesOf = (list: string | undefined): string[] | undefined =>
  list === undefined ? undefined : splitPhrases(list);
const linesOf = async (path: string): Promise<string[]> => (await readPhrases(path)).map(({ exact }) => exact);

const CHANGED = ['change', '95 % interval', ''];

function seenTable(
  { seen, unseen, difference: apart, seenCategories, unseenCategories }: SeenScores,
  isCompared: boolean,
) {
  const row = (name: string, cells: readonly string[], number: VocabularyNumber) => [
    name,
    ...cells,
    ...(isCompared ? changeCells(number) : []),
  ];
  return table(
    ['phrases', 'AP', '95 % interval', ...(isCompared ? CHANGED : [])],
    [
      row(`seen in training (${categoryCount(seenCategories)})`, precisionCells(seen), seen),
      row(`never seen (${categoryCount(unseenCategories)})`, precisionCells(unseen), unseen),
      row('never seen − seen', differenceCells(apart), apart),
    ],
  );
}

function paraphraseTable({ phrases, mean }: ParaphraseScores, isCompared: boolean): string {
  const row = (
    texts: readonly string[],
    {
      original,
      paraphrased,
      difference: lost,
    }: Pick<(typeof phrases)[number], 'original' | 'paraphrased' | 'difference'>,
  ) => [
    ...texts,
    points(original.value ?? -1),
    points(paraphrased.value ?? -1),
    ...differenceCells(lost),
    ...(isCompared ? changeCells(paraphrased) : []),
  ];
  return table(
    [
      'category',
      'phrase in its place',
      'AP by its name',
      'AP',
      'difference',
      '95 % interval',
      ...(isCompared ? CHANGED : []),
    ],
    [...phrases.map((each) => row([each.category, each.phrase], each)), row(['mean', ''], mean)],
    ['left', 'left', ...Array.from({ length: isCompared ? 7 : 4 }, () => 'right' as const)],
  );
}

function absentTable(rows: readonly AbsentScore[], threshold: number, isCompared: boolean): string {
  const numbers = table(
    [
      'absent phrases',
      'all phrases',
      'false alarms',
      '95 % interval',
      ...(isCompared ? ['change', '95 % interval'] : []),
      'AP',
      'change by absent',
      '95 % interval',
      ...(isCompared ? ['change of AP', '95 % interval', ''] : []),
    ],
    rows.map(({ absent, phrases, falseAlarms, averagePrecision, difference: lost }) => [
      `${absent}`,
      phrases.toFixed(1),
      ...alarmCells(falseAlarms),
      ...(isCompared ? alarmChangeCells(falseAlarms) : []),
      points(averagePrecision.value ?? -1),
      ...differenceCells(lost),
      ...(isCompared ? changeCells(averagePrecision) : []),
    ]),
    Array.from({ length: isCompared ? 12 : 7 }, () => 'right' as const),
  );
  return `${numbers}\nFalse alarms are boxes of absent phrases with a score of at least ${threshold}, in an image.`;
}
