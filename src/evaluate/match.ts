/** COCO's greedy matching of the detections and the objects of one image and category. */
import type { CocoAnnotation } from '../data/coco.ts';
import type { Box } from '../data/labelled-box.ts';
import type { CocoDetection } from './coco-detection.ts';

/** Options of `matchImage`. */
export interface MatchOptions {
  /** The range of area in pixels. Objects and unmatched detections outside of it do not count. */
  readonly area: readonly [minimum: number, maximum: number];
  /** The number of best detections that count. */
  readonly maxDetections: number;
  /** The IoU from which a detection matches an object, for each matching. */
  readonly thresholds: readonly number[];
}

/** The result of `matchImage`. */
export interface Match {
  /** The detections, the best first. `matched` and `ignored` have one entry for each threshold. */
  readonly detections: readonly { readonly score: number; readonly matched: boolean[]; readonly ignored: boolean[] }[];
  /** The number of objects that should have been found. */
  readonly countedTruth: number;
}

/** Matches the detections of one image and category to its objects, for each IoU threshold. */
export function matchImage(
  truth: readonly CocoAnnotation[],
  found: readonly CocoDetection[],
  options: MatchOptions,
): Match {
  const [minimum, maximum] = options.area;
  const isOutside = (area: number) => area < minimum || area > maximum;
  const described = truth.map((object) => ({ object, ignored: object.iscrowd === 1 || isOutside(object.area) }));
  // Objects that count come first. Both sorts are stable, as those of pycocotools are.
  const objects = described.sort((a, b) => Number(a.ignored) - Number(b.ignored));
  const best = found.toSorted((a, b) => b.score - a.score).slice(0, options.maxDetections);
  const overlaps = best.map((detection) =>
    objects.map(({ object }) => overlap(detection.bbox, object.bbox, object.iscrowd === 1)),
  );
  const rows = best.map((detection) => ({
    score: detection.score,
    area: detection.bbox[2] * detection.bbox[3],
    matched: [] as boolean[],
    ignored: [] as boolean[],
  }));
  for (const threshold of options.thresholds) {
    const taken = objects.map(() => false);
    for (const [index, row] of rows.entries()) {
      const chosen = chooseObject(overlaps[index] ?? [], objects, taken, threshold);
      if (chosen >= 0) taken[chosen] = true;
      // pycocotools uses the id 0 for "not matched", so that an annotation with this id always counts as missed.
      const matched = chosen >= 0 && objects[chosen]?.object.id !== 0;
      row.matched.push(matched);
      row.ignored.push((chosen >= 0 && (objects[chosen]?.ignored ?? false)) || (!matched && isOutside(row.area)));
    }
  }
  return { detections: rows, countedTruth: objects.filter(({ ignored }) => !ignored).length };
}

/**
 * The index of the free object with the highest overlap of at least `threshold`; −1 if there is none. Crowds are always free,
 * and objects that count take precedence over ignored ones.
 */
function chooseObject(
  overlaps: readonly number[],
  objects: readonly { object: CocoAnnotation; ignored: boolean }[],
  taken: readonly boolean[],
  threshold: number,
): number {
  let best = Math.min(threshold, 1 - 1e-10);
  let chosen = -1;
  for (const [index, { object, ignored }] of objects.entries()) {
    if (taken[index] && object.iscrowd !== 1) continue;
    if (chosen >= 0 && !objects[chosen]?.ignored && ignored) break;
    const value = overlaps[index] ?? 0;
    if (value < best) continue;
    best = value;
    chosen = index;
  }
  return chosen;
}

/** The intersection over union; for a crowd, the intersection over the area of the detection. */
function overlap([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box, crowd: boolean): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  if (width <= 0 || height <= 0) return 0;
  const intersection = width * height;
  return intersection / (crowd ? aw * ah : aw * ah + bw * bh - intersection);
}
