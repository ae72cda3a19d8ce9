/** The images and boxes that a model is trained on. */
import type { CocoAnnotation, CocoDataset, CocoImage } from '../data/coco.ts';
import { checkPhrases } from '../detect/check-phrases.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { type DatasetSource, type OpenOptions, openDataset } from './sources.ts';

/**
 * Opens a data set to train on. Boxes that no model can learn are left out with a count: those without a width, a height or
 * a place in their picture.
 *
 * @throws UsageError or InputError if there is no readable data set
 */
export async function openTrainingData(
  source: CheckpointPackage,
  dataset: DatasetSource,
  options: OpenOptions,
): Promise<CocoDataset> {
  const opened = checkPhrases(source, await openDataset(dataset, { ...options, purpose: 'training' }), options);
  const imageOf = new Map(opened.images.map((image) => [image.id, image]));
  const annotations = opened.annotations.filter((annotation) =>
    isVisible(annotation, imageOf.get(annotation.image_id)),
  );
  const left = opened.annotations.length - annotations.length;
  if (left === 0) return opened;
  options.onNotice?.(
    `${opened.source ?? 'The data set'}: ${left} boxes have no area in their picture, and are not trained on.`,
  );
  return { ...opened, annotations };
}

function isVisible({ bbox: [x, y, width, height] }: CocoAnnotation, image: CocoImage | undefined): boolean {
  if (!image || !(width > 0 && height > 0)) return false;
  return x < image.width && y < image.height && x + width > 0 && y + height > 0;
}
