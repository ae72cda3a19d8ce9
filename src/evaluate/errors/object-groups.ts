/** Groups of objects by what makes them hard to find: their size, and how much of them other objects cover. */
import { type CocoAnnotation, type CocoAnnotations, groupByImage } from '../../data/coco.ts';
import { AREAS } from '../coco-settings.ts';
import { overlap } from '../match.ts';

/** The groups by size are COCO's. */
export const SIZES = ['small', 'medium', 'large'] as const;
/** The groups by the largest share of an object's box that the box of another object covers: less than 0.1, less than 0.5, more. */
export const OCCLUSIONS = ['free', 'partly', 'mostly'] as const;

/** A group of objects by size: less than 32² pixels, up to 96², more. */
export type SizeGroup = (typeof SIZES)[number];
/** A group of objects by occlusion. */
export type OcclusionGroup = (typeof OCCLUSIONS)[number];

const [PARTLY, MOSTLY] = [0.1, 0.5];

/** The group of an object by its size, as COCO's figures have it. An area on a boundary is of the larger group. */
export const sizeOf = ({ area }: CocoAnnotation): SizeGroup =>
  SIZES.findLast((size) => area >= AREAS[size][0]) ?? 'small';

/** The group of each object by its occlusion. Crowds are no objects, and cover nothing. */
export function occlusionOf({
  annotations,
}: Pick<CocoAnnotations, 'annotations'>): Map<CocoAnnotation, OcclusionGroup> {
  const groups = new Map<CocoAnnotation, OcclusionGroup>();
  for (const objects of groupByImage(annotations.filter(({ iscrowd }) => iscrowd === 0)).values())
    for (const object of objects) {
      // Taken as a crowd, the second box has the overlap that is a share of the first.
      const covered = objects.reduce(
        (most, other) => (other === object ? most : Math.max(most, overlap(object.bbox, other.bbox, true))),
        0,
      );
      groups.set(object, covered >= MOSTLY ? 'mostly' : covered >= PARTLY ? 'partly' : 'free');
    }
  return groups;
}
