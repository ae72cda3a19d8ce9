/** Groups of objects by what makes them hard to find: their size, and how much of them other objects cover. */
import type { CocoAnnotation, CocoAnnotations } from '../../data/coco.ts';
import { AREAS } from '../coco-settings.ts';

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
  const byImage = new Map<number, CocoAnnotation[]>();
  for (const object of annotations) {
    if (object.iscrowd === 1) continue;
    const others = byImage.get(object.image_id);
    if (others) others.push(object);
    else byImage.set(object.image_id, [object]);
  }
  const groups = new Map<CocoAnnotation, OcclusionGroup>();
  for (const objects of byImage.values())
    for (const object of objects) {
      const covered = objects.reduce(
        (most, other) => (other === object ? most : Math.max(most, share(object, other))),
        0,
      );
      groups.set(object, covered >= MOSTLY ? 'mostly' : covered >= PARTLY ? 'partly' : 'free');
    }
  return groups;
}

/** The share of an object's box that the box of another covers. */
function share({ bbox: [ax, ay, aw, ah] }: CocoAnnotation, { bbox: [bx, by, bw, bh] }: CocoAnnotation): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  return width > 0 && height > 0 && aw * ah > 0 ? (width * height) / (aw * ah) : 0;
}
