import { Command } from '@commander-js/extra-typings';
import { percent } from '../base/format.ts';
import { ERROR_CAUSES } from '../evaluate/errors/find-errors.ts';
import type { ByGroup } from '../evaluate/errors/found-objects.ts';
import { points, signedPoints } from '../evaluate/points.ts';
import { ERRORS_DEFAULTS, type ErrorsResult, explainErrors } from '../pipeline/errors-step.ts';
import { CAUSES, rowsOfGroups } from '../report/error-words.ts';
import { addLabelOptions } from './dataset-options.ts';
import {
  ANNOTATIONS_ARGUMENT,
  allDetections,
  DETECTIONS_ARGUMENT,
  mergeOption,
  withLabels,
} from './detections-arguments.ts';
import { examples } from './examples.ts';
import { print, printJson } from './output.ts';
import { work } from './progress-line.ts';
import { fraction, jsonOption, overwriteOption, wholeNumber } from './shared-options.ts';
import { table } from './table.ts';

/** Rows of each table. */
const MAX_ROWS = 15;

/** `dino8 errors` */
export const errorsCommand = () =>
  addLabelOptions(
    new Command('errors')
      .description(
        'Explain what is wrong with the detections of any detector: the cause of each error and the AP that it costs (as TIDE defines them, ECCV 2020), the objects that are found by size and occlusion, and the categories that are taken for others. With --against, the objects that one of two detectors loses.',
      )
      .argument('<detections>', DETECTIONS_ARGUMENT)
      .argument('<annotations>', ANNOTATIONS_ARGUMENT)
      .addOption(mergeOption())
      .option('--against <detections>', 'another file of detections in the same images, to find the changes from')
      .option(
        '--threshold <score>',
        'the score from which a box counts for objects found, categories confused and changes, from 0 to 1',
        fraction('--threshold'),
        ERRORS_DEFAULTS.threshold,
      )
      .option('--images <count>', 'look only at the first <count> images (default: all)', wholeNumber('--images')),
  )
    .option('-o, --output <file>', 'write the result as JSON')
    .addOption(overwriteOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 eval assets/nano assets/shapes/val --images 50 --save-detections fp32.json',
        'dino8 errors fp32.json assets/shapes/annotations/instances_val.json --images 50',
        'dino8 errors int8.json assets/shapes/annotations/instances_val.json --against fp32.json',
      ),
    )
    .action(async (first, annotations, { json, merge, ...given }) => {
      const detections = allDetections(first, merge);
      const result = await explainErrors({ ...withLabels(given, annotations), detections, ...work() });
      if (json) return printJson(result);
      printCauses(result);
      printFound(result);
      if (result.change) printChange(result, result.change);
    });

function printCauses({ errors, errorsBefore }: ErrorsResult): void {
  const rows = ERROR_CAUSES.map((cause) => {
    const { count, gain } = errors.causes[cause];
    const before = errorsBefore?.causes[cause];
    return [
      CAUSES[cause],
      `${count}`,
      points(gain),
      ...(before ? [`${before.count}`, signedPoints(gain - before.gain)] : []),
    ];
  });
  const heading = ['cause of errors', 'number', 'costs points of AP50'];
  print(table(errorsBefore ? [...heading, 'number before', 'change of the cost'] : heading, rows));
  print(
    `AP50 as TIDE computes it, where a category with boxes and no objects counts as 0, is ${points(errors.AP50)}. If every wrong box scored below every right one, it would rise by ${points(errors.falsePositives)}; if no object were missing, by ${points(errors.falseNegatives)}.\n`,
  );
}

function printFound({ groups, confusions, categoryNames, threshold }: ErrorsResult): void {
  print(
    table(
      [`objects, with boxes that score at least ${threshold}`, 'found', 'of', ''],
      rowsOf(groups, ({ found, total }) => [`${found}`, `${total}`, total > 0 ? percent(found, total) : '–']),
    ),
  );
  if (confusions.length === 0) return;
  const name = (id: number) => categoryNames[id] ?? `${id}`;
  const rows = confusions
    .slice(0, MAX_ROWS)
    .map(({ object, detected, count }) => [name(object), name(detected), `${count}`]);
  print(`\n${table(['objects of', 'are taken for', 'times'], rows, ['left', 'left', 'right'])}`);
}

function printChange(
  { categoryNames, imageNames, threshold }: ErrorsResult,
  change: NonNullable<ErrorsResult['change']>,
): void {
  const { lost, gained, lostMargin } = change;
  print(
    `\nObjects that only one of the two finds with boxes that score at least ${threshold}: ${lost} lost (only the other detections find them) and ${gained} gained (only these do).${lostMargin === undefined ? '' : ` The boxes of the lost ones had scored ${lostMargin.toFixed(2)} above ${threshold} (median).`}`,
  );
  if (lost + gained === 0) return;
  const cells = (counts: { readonly lost: number; readonly gained: number }) => [`${counts.lost}`, `${counts.gained}`];
  const heading = (first: string) => [first, 'lost', 'gained'];
  print(`\n${table(heading('objects'), rowsOf(change.groups, cells))}`);
  const named = (rows: typeof change.categories, names: Readonly<Record<number, string>>) =>
    rows.slice(0, MAX_ROWS).map((row) => [names[row.id] ?? `${row.id}`, ...cells(row)]);
  print(`\n${table(heading('category'), named(change.categories, categoryNames))}`);
  print(`\n${table(heading('image'), named(change.images, imageNames))}`);
}

function rowsOf<T>(groups: ByGroup<T>, cells: (value: T) => readonly string[]): string[][] {
  return rowsOfGroups(groups).map(({ title, value }) => [title, ...cells(value)]);
}
