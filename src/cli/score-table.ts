/** The tables of COCO's figures with their intervals, which `eval` and `score` print. */
import { MIN_IMAGES } from '../evaluate/bootstrap.ts';
import { points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';
import { FIGURES } from '../evaluate/score-matches.ts';
import type { ScoreResult } from '../pipeline/score-step.ts';
import { print } from './output.ts';
import { table } from './table.ts';

/** Prints the figures, those of each category, and what the intervals are. */
export function printScore({ images, figures, intervals, change, federated, categories }: ScoreResult): void {
  const heading = (first: string, second: string) => [
    first,
    second,
    '95 % interval',
    ...(change ? ['change', '95 % interval', ''] : []),
  ];
  const changed = (difference: NonNullable<typeof change>['AP']) =>
    change ? [difference ? signedPoints(difference.value) : '–', signedInterval(difference), verdict(difference)] : [];
  print(
    table(
      heading('figure', 'points'),
      FIGURES.map(({ name }) => [
        name,
        points(figures[name]),
        pointsInterval(intervals[name]),
        ...changed(change?.[name]),
      ]),
    ),
  );
  print('');
  if (federated) {
    const rows = Object.entries(federated).map(([name, value]) => [name, points(value)]);
    print(`By LVIS's federated protocol:\n${table(['figure', 'points'], rows)}\n`);
  }
  print(
    table(
      heading('category', 'AP'),
      categories.map((category) => [
        category.name,
        points(category.AP),
        pointsInterval(category.interval),
        ...changed(category.change),
      ]),
    ),
  );
  print(
    `\nIntervals are of 95 % confidence, by drawing the ${images} images again and again; fewer than ${MIN_IMAGES} images with objects have none.`,
  );
}
