/** The decisions that COCO leaves to each model: the prompt that is scored, and how many boxes count. */
import { type CocoAnnotations, type CocoCategory, phraseCategories } from '../data/coco.ts';

/** The number of best boxes of an image that are scored, over all phrases together. */
export const BOXES_PER_IMAGE = 300;

/** The categories in the order of their phrases in the prompt: by id, whatever the order in the annotation file. */
export function promptCategories(annotations: Pick<CocoAnnotations, 'categories'>): CocoCategory[] {
  return phraseCategories(annotations).toSorted((a, b) => a.id - b.id);
}
