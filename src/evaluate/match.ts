/** Which detection of an image and category finds which object, by COCO's greedy matching. */
import type { CocoAnnotation } from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';

export interface MatchOptions {
  /** Objects (and unmatched detections) of another area do not count. */
  readonly area: readonly [least: number, most: number];
  /** The best this many detections count. */
  readonly most: number;
  readonly thresholds: readonly number[];
}

export interface Match {
  /** Best first; `matched` and `ignored` have one entry per threshold. */
  readonly detections: readonly { readonly score: number; readonly matched: boolean[]; readonly ignored: boolean[] }[];
  /** Objects that should have been found. */
  readonly countedTruth: number;
}

export function matchImage(
  truth: readonly CocoAnnotation[],
  found: readonly CocoDetection[],
  options: MatchOptions,
): Match {
  const [least, most] = options.area;
  const isOutside = (area: number) => area < least || area > most;
  const described = truth.map((object) => ({ object, ignored: object.iscrowd === 1 || isOutside(object.area) }));
  // Those that count come first; both sorts are stable.
  const objects = described.sort((a, b) => Number(a.ignored) - Number(b.ignored));
  const best = found.toSorted((a, b) => b.score - a.score).slice(0, options.most);
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
      // pycocotools takes the id 0 for "not matched": an annotation with that id can only be missed.
      const matched = chosen >= 0 && objects[chosen]?.object.id !== 0;
      row.matched.push(matched);
      row.ignored.push((chosen >= 0 && (objects[chosen]?.ignored ?? false)) || (!matched && isOutside(row.area)));
    }
  }
  return { detections: rows, countedTruth: objects.filter(({ ignored }) => !ignored).length };
}

/** The object with the highest overlap that is free (a crowd always is), one that counts before one that is ignored; −1 if none. */
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

type Box = readonly [number, number, number, number];

/** Intersection over union; over the detection's own area where the object is a crowd. */
function overlap([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box, crowd: boolean): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  if (width <= 0 || height <= 0) return 0;
  const intersection = width * height;
  return intersection / (crowd ? aw * ah : aw * ah + bw * bh - intersection);
}
