/** Why numbers of `vocabulary` or their intervals are not known: where there are no boxes, or too few images. */
import { type CocoDataset, phraseCategories } from '../data/coco.ts';
import { MIN_IMAGES } from '../evaluate/bootstrap.ts';
import type { AbsentScore, ParaphraseScores, SeenScores } from '../evaluate/open-vocabulary.ts';

/** Names that are listed in a sentence. */
const MOST_NAMES = 8;

/** The scores of all that was asked. */
interface Scores {
  readonly seen?: SeenScores | undefined;
  readonly paraphrases?: ParaphraseScores | undefined;
  readonly absent?: readonly AbsentScore[] | undefined;
}

/** A sentence for each reason. @param ids those of the categories that training saw */
export function missingNumbers(
  dataset: CocoDataset,
  ids: ReadonlySet<number> | undefined,
  { seen, paraphrases, absent }: Scores,
): string[] {
  const phrases = paraphrases?.phrases ?? [];
  const namesOf = (rows: typeof phrases) => [...new Set(rows.map(({ category }) => category))];
  const nowhere = namesOf(phrases.filter(({ original }) => original.value === undefined));
  const rare = namesOf(phrases.filter(({ original: { value, interval } }) => value !== undefined && !interval));
  const isRare = absent?.some(({ averagePrecision: { value, interval } }) => value !== undefined && !interval);
  return [
    ...(seen && ids ? seenNotes(groupsWithoutBoxes(dataset, ids), seen) : []),
    ...(nowhere.length > 0
      ? [`These images have no box of ${listed(nowhere)}, so that other phrases have no AP.`]
      : []),
    ...(rare.length > 0 ? [`Fewer than ${MIN_IMAGES} images show ${listed(rare)}, too few for an interval.`] : []),
    ...(isRare ? [`Fewer than ${MIN_IMAGES} images have boxes, too few for an interval.`] : []),
  ];
}

/** The categories that training saw or never saw, and those of them that have no box. */
export interface Group {
  readonly key: 'seen' | 'unseen';
  readonly words: string;
  readonly categories: readonly string[];
  readonly withoutBoxes: readonly string[];
}

/** @param seen the ids of the categories that training saw */
export function groupsWithoutBoxes(dataset: CocoDataset, seen: ReadonlySet<number>): Group[] {
  const shown = new Set(dataset.annotations.filter(({ iscrowd }) => !iscrowd).map(({ category_id }) => category_id));
  return (['seen', 'unseen'] as const).map((key) => {
    const categories = phraseCategories(dataset).filter(({ id }) => seen.has(id) === (key === 'seen'));
    return {
      key,
      words: key === 'seen' ? 'that training saw' : 'that training never saw',
      categories: categories.map(({ name }) => name),
      withoutBoxes: categories.filter(({ id }) => !shown.has(id)).map(({ name }) => name),
    };
  });
}

/** A sentence about a group without any box; undefined if it has some. */
export function emptyGroup({ words, categories, withoutBoxes }: Group): string | undefined {
  if (withoutBoxes.length < categories.length) return undefined;
  return `These images have no box of the categories ${words} (${listed(categories)}), so that there is no AP of them to compare.`;
}

function seenNotes(groups: readonly Group[], scores: SeenScores): string[] {
  return groups.flatMap((group) => {
    const empty = emptyGroup(group);
    if (empty !== undefined) return [empty];
    const { key, words, categories, withoutBoxes } = group;
    return [
      ...(withoutBoxes.length > 0
        ? [
            `These images have no box of ${withoutBoxes.length} of the ${categories.length} categories ${words} (${listed(withoutBoxes)}), which do not count.`,
          ]
        : []),
      ...(scores[key].interval
        ? []
        : [`Fewer than ${MIN_IMAGES} images show categories ${words}, too few for an interval.`]),
    ];
  });
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).map((name) => `"${name}"`);
  const others = names.length - shown.length;
  return others > 0 ? `${shown.join(', ')} and ${others} more` : shown.join(', ');
}
