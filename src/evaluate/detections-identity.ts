/** The identity of detections, by which those of two detectors are told apart even if their files have the same name. */
import { createHash } from 'node:crypto';
import type { CocoDetection } from './coco-detection.ts';

/** The numbers of a detection: its image, its category, its box and its score. */
const NUMBERS = 7;
/** Detections that are hashed at a time. */
const CHUNK = 4096;

/** A hash of all that detections say. Parts of one evaluation have the same hash in any order. */
export function identifyDetections(detections: readonly CocoDetection[]): string {
  const hash = createHash('sha256');
  const isInOrder = detections.every(
    ({ image_id }, index) => image_id >= (detections[index - 1]?.image_id ?? image_id),
  );
  const ordered = isInOrder ? detections : detections.toSorted((a, b) => a.image_id - b.image_id);
  const numbers = new Float64Array(NUMBERS * CHUNK);
  for (let start = 0; start < ordered.length; start += CHUNK) {
    const part = ordered.slice(start, start + CHUNK);
    for (const [index, { image_id, category_id, bbox, score }] of part.entries())
      numbers.set([image_id, category_id, ...bbox, score], NUMBERS * index);
    hash.update(numbers.subarray(0, NUMBERS * part.length));
  }
  return hash.digest('hex');
}
