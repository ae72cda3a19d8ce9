/** The box around the outline of an object, as COCO's `segmentation` has it: polygons, or a run-length encoded mask. */
import type { Box } from '../labelled-box.ts';

/** A mask of more pixels than this is refused before its runs are gone through. */
const MAX_MASK_PIXELS = 1 << 30;

/** The box of polygons [[x1, y1, x2, y2, …], …] or of a mask {counts, size: [height, width]}; undefined if it is neither. */
export function boxOfOutline(segmentation: unknown): Box | undefined {
  if (Array.isArray(segmentation)) return boxOfPolygons(segmentation);
  if (typeof segmentation !== 'object' || segmentation === null) return undefined;
  const { counts, size } = segmentation as { counts?: unknown; size?: unknown }; // checked in the next lines
  if (!Array.isArray(size) || size.length !== 2 || !size.every((side) => Number.isSafeInteger(side) && side > 0))
    return undefined;
  const [height, width] = size as [number, number]; // two whole numbers, by the line above
  if (height * width > MAX_MASK_PIXELS) return undefined;
  const runs = typeof counts === 'string' ? decodeRuns(counts) : counts;
  return Array.isArray(runs) ? boxOfRuns(runs, height, width) : undefined;
}

/** The box around points, which are pairs of x and y in one or several lists. */
export function boxOfPolygons(polygons: readonly unknown[]): Box | undefined {
  const lists = typeof polygons[0] === 'number' ? [polygons] : polygons;
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const list of lists) {
    if (!Array.isArray(list)) return undefined;
    for (let index = 0; index + 1 < list.length; index += 2) {
      const [x, y] = [list[index], list[index + 1]];
      if (typeof x !== 'number' || typeof y !== 'number') return undefined;
      left = Math.min(left, x);
      top = Math.min(top, y);
      right = Math.max(right, x);
      bottom = Math.max(bottom, y);
    }
  }
  return left <= right && top <= bottom ? [left, top, right - left, bottom - top] : undefined;
}

/** The box of a mask whose runs of pixels outside and inside alternate, column after column. */
function boxOfRuns(runs: readonly unknown[], height: number, width: number): Box | undefined {
  let [left, top, right, bottom] = [width, height, 0, 0];
  let place = 0;
  for (const [index, run] of runs.entries()) {
    if (typeof run !== 'number' || !Number.isSafeInteger(run) || run < 0 || place + run > height * width)
      return undefined;
    if (index % 2 === 1 && run > 0) {
      const last = place + run - 1;
      const [firstColumn, lastColumn] = [Math.floor(place / height), Math.floor(last / height)];
      left = Math.min(left, firstColumn);
      right = Math.max(right, lastColumn + 1);
      // A run over several columns reaches the edges of the mask.
      top = Math.min(top, firstColumn === lastColumn ? place % height : 0);
      bottom = Math.max(bottom, firstColumn === lastColumn ? (last % height) + 1 : height);
    }
    place += run;
  }
  return left < right ? [left, top, right - left, bottom - top] : undefined;
}

/**
 * The runs of a compressed mask: groups of 5 bits in characters from "0" on, the lowest first, where bit 6 says that more
 * follow; from the fourth run on, each is the difference to the one two places before (rleFrString of pycocotools).
 */
function decodeRuns(text: string): number[] | undefined {
  const runs: number[] = [];
  let [value, shift] = [0, 0];
  for (const character of text) {
    const bits = (character.codePointAt(0) ?? 0) - 48;
    if (bits < 0 || bits > 63 || shift > 30) return undefined;
    value += (bits & 31) * 2 ** shift;
    shift += 5;
    if (bits & 32) continue;
    if (bits & 16) value -= 2 ** shift;
    runs.push(runs.length > 2 ? value + (runs[runs.length - 2] ?? 0) : value);
    [value, shift] = [0, 0];
  }
  return shift === 0 ? runs : undefined;
}
