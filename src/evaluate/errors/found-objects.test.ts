/** Objects that are found, confused, lost and gained, in a data set that is small enough to count by hand. */
import { expect, test } from 'vitest';
import type { CocoAnnotation, CocoAnnotations } from '../../data/coco.ts';
import type { CocoDetection } from '../coco-detection.ts';
import { findChange, findObjects } from './found-objects.ts';

const object = (id: number, category_id: number, bbox: CocoAnnotation['bbox'], image_id = 1): CocoAnnotation => {
  return { id, image_id, category_id, bbox, area: bbox[2] * bbox[3], iscrowd: 0 };
};
const SMALL = object(1, 1, [0, 0, 20, 20]);
const COVERED = object(2, 1, [100, 100, 50, 50]);
const COVERING = object(3, 2, [100, 100, 100, 40]);
const LARGE = object(4, 2, [0, 0, 300, 300], 2);
const truth: CocoAnnotations = {
  images: [1, 2].map((id) => ({ id, file_name: `${id}.jpg`, width: 400, height: 400 })),
  annotations: [SMALL, COVERED, COVERING, LARGE],
  categories: [
    { id: 1, name: 'forklift' },
    { id: 2, name: 'person' },
  ],
};
const detectionOf = (
  { image_id, category_id, bbox }: CocoAnnotation,
  score: number,
  as = category_id,
): CocoDetection => {
  return { image_id, category_id: as, bbox, score };
};

test('objects are counted by size and occlusion, and confusions by both categories', () => {
  const detections = [detectionOf(SMALL, 0.9), detectionOf(COVERING, 0.8), detectionOf(LARGE, 0.7, 1)];
  const { groups, confusions } = findObjects(truth, [...detections, detectionOf(COVERED, 0.3)], 0.35);
  expect(groups.size).toEqual({
    small: { found: 1, total: 1 },
    medium: { found: 1, total: 2 },
    large: { found: 0, total: 1 },
  });
  // 80 % of one object are covered, and half of the other.
  expect(groups.occlusion).toEqual({
    free: { found: 1, total: 2 },
    partly: { found: 0, total: 0 },
    mostly: { found: 1, total: 2 },
  });
  expect(confusions).toEqual([{ object: 2, detected: 1, count: 1 }]);
});

test('objects are lost and gained where a score passes the threshold', () => {
  const before = [detectionOf(SMALL, 0.4), detectionOf(LARGE, 0.3), detectionOf(COVERING, 0.9)];
  const after = [detectionOf(SMALL, 0.34), detectionOf(LARGE, 0.36), detectionOf(COVERING, 0.9)];
  const change = findChange(truth, before, after, 0.35);
  expect(change).toMatchObject({ lost: 1, gained: 1 });
  expect(change.lostMargin).toBeCloseTo(0.05);
  expect(change.groups.size.small).toEqual({ lost: 1, gained: 0 });
  expect(change.groups.occlusion.free).toEqual({ lost: 1, gained: 1 });
  expect(change.categories).toEqual([
    { id: 1, lost: 1, gained: 0 },
    { id: 2, lost: 0, gained: 1 },
  ]);
  expect(change.images.map(({ id }) => id)).toEqual([1, 2]);
  expect(findChange(truth, before, before, 0.35)).toMatchObject({
    lost: 0,
    gained: 0,
    lostMargin: undefined,
    images: [],
  });
});
