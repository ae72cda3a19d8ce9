/** Confusions and changes by the names that a report shows, where an analysis has ids. */
import type { ChangeOf, FoundChange, FoundObjects } from '../evaluate/errors/found-objects.ts';
import type { ErrorChange, NamedChange, VariantErrors } from './variants.ts';

/** A report lists no more pairs of categories, the most frequent ones. */
export const MOST_CONFUSIONS = 1000;
/** A report lists no more categories with changes. */
export const MOST_CHANGED = 20;

/** The names of categories and images by their ids. */
export interface Names {
  readonly categories: ReadonlyMap<number, string>;
  readonly images: ReadonlyMap<number, string>;
}

/** The names in place of the ids. */
export function namedErrors(
  { confusions }: Pick<FoundObjects, 'confusions'>,
  change: FoundChange | undefined,
  names: Names,
): Pick<VariantErrors, 'confusions' | 'change'> {
  const category = (id: number) => names.categories.get(id) ?? `${id}`;
  return {
    confusions: confusions.slice(0, MOST_CONFUSIONS).map(({ object, detected, count }) => {
      return { object: category(object), detected: category(detected), count };
    }),
    ...(change && { change: namedChange(change, names) }),
  };
}

function namedChange({ lost, gained, groups, lostMargin, categories, images }: FoundChange, names: Names): ErrorChange {
  const named = (changes: readonly ChangeOf[], of: ReadonlyMap<number, string>): NamedChange[] =>
    changes
      .slice(0, MOST_CHANGED)
      .map((each) => ({ name: of.get(each.id) ?? `${each.id}`, lost: each.lost, gained: each.gained }));
  return {
    lost,
    gained,
    groups,
    lostMargin,
    categories: named(categories, names.categories),
    images: named(images, names.images),
  };
}
