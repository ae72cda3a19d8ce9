/**
 * COCO's figures of matches, as pycocotools' COCOeval accumulates and summarizes them (cocoapi, PythonAPI/pycocotools/
 * cocoeval.py), for any sample of the images. An image that is drawn several times counts as that many images.
 */
import { checkValue, objectWith } from '../base/check-options.ts';
import { AREA_NAMES, type Area, AT_75, IOU_THRESHOLDS, RECALL_THRESHOLDS } from './coco-settings.ts';
import type { AreaMatches, Matches } from './matches.ts';

/**
 * The 12 figures in pycocotools' order, each from 0 to 1, and −1 if there is no ground truth for it. AP is average precision
 * and AR average recall, over IoU from 0.50 to 0.95 unless the name says otherwise.
 */
export interface CocoFigures {
  /** Average precision over all objects. */
  readonly AP: number;
  /** Average precision at an IoU of 0.50. */
  readonly AP50: number;
  /** Average precision at an IoU of 0.75. */
  readonly AP75: number;
  /** Average precision of objects of less than 32² pixels. */
  readonly APsmall: number;
  /** Average precision of objects from 32² to 96² pixels. */
  readonly APmedium: number;
  /** Average precision of objects of more than 96² pixels. */
  readonly APlarge: number;
  /** Average recall with one detection in each image and category. */
  readonly AR1: number;
  /** Average recall with 10 detections in each image and category. */
  readonly AR10: number;
  /** Average recall with 100 detections in each image and category. */
  readonly AR100: number;
  /** Average recall of objects of less than 32² pixels. */
  readonly ARsmall: number;
  /** Average recall of objects from 32² to 96² pixels. */
  readonly ARmedium: number;
  /** Average recall of objects of more than 96² pixels. */
  readonly ARlarge: number;
}

/** The figures of a data set, or of a sample of its images. */
export interface CocoResult {
  /** The figures over all categories. */
  readonly figures: CocoFigures;
  /** The AP of each category by its id; −1 if it has no ground truth. */
  readonly averagePrecisionOf: ReadonlyMap<number, number>;
}

/**
 * Computes the figures of matches.
 * @param draws how often each image counts, in the order of `Matches.images`; by default once
 * @example
 * const { figures } = scoreMatches(matchDetections(await readDataset('instances.json'), detections));
 */
export function scoreMatches(matches: Matches, draws?: Uint32Array): CocoResult {
  checkValue('The matches', objectWith('what `matchDetections` returned', 'images', 'categories'), matches);
  return createScorer(matches)(draws ?? new Uint32Array(matches.images.length).fill(1));
}

/**
 * Makes a function that computes the figures of many samples of the images of the same matches.
 * @param sizes the figures that are computed, by the size of objects that they are about; the others are −1
 */
export function createScorer(
  { categories }: Matches,
  sizes: readonly Area[] = AREA_NAMES,
): (draws: Uint32Array) => CocoResult {
  const figuresOf = FIGURES.filter(({ area }) => sizes.includes(area));
  const events = categories.flatMap(({ areas }) => Object.values(areas).map(({ ends }) => ends.length));
  const curve = new PrecisionCurve(Math.max(0, ...events));
  return (draws) => {
    const figures = Object.fromEntries(FIGURES.map(({ name }) => [name, new Mean()] as const));
    const averagePrecisionOf = new Map<number, number>();
    for (const { id, areas } of categories) {
      const scores = Object.fromEntries(sizes.map((area) => [area, scoreArea(areas[area], draws, curve)]));
      averagePrecisionOf.set(id, scores.all ? meanOf(scores.all.precisions) : -1);
      for (const { name, area, of } of figuresOf) {
        const score = scores[area];
        // Without an object to be found there is neither precision nor recall, and the category does not count.
        if (score) figures[name]?.add(of(score));
      }
    }
    const values = FIGURES.map(({ name }) => [name, figures[name]?.value ?? -1]);
    return { figures: Object.fromEntries(values) as CocoFigures, averagePrecisionOf }; // FIGURES has every figure
  };
}

/** The precision at each overlap and the recalls of one category in one range of area. */
interface AreaScore {
  readonly precisions: readonly number[];
  /** The recall with at most as many detections in an image as `MAX_DETECTIONS` says at an index. */
  readonly recall: (limit: number) => number;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The definition of each figure, in pycocotools' order. A figure is the mean over the categories. */
export const FIGURES: readonly { name: keyof CocoFigures; area: Area; of: (score: AreaScore) => number }[] = [
  { name: 'AP', area: 'all', of: ({ precisions }) => meanOf(precisions) },
  { name: 'AP50', area: 'all', of: ({ precisions }) => precisions[0] ?? 0 },
  { name: 'AP75', area: 'all', of: ({ precisions }) => precisions[AT_75] ?? 0 },
  { name: 'APsmall', area: 'small', of: ({ precisions }) => meanOf(precisions) },
  { name: 'APmedium', area: 'medium', of: ({ precisions }) => meanOf(precisions) },
  { name: 'APlarge', area: 'large', of: ({ precisions }) => meanOf(precisions) },
  { name: 'AR1', area: 'all', of: ({ recall }) => recall(0) },
  { name: 'AR10', area: 'all', of: ({ recall }) => recall(1) },
  { name: 'AR100', area: 'all', of: ({ recall }) => recall(2) },
  { name: 'ARsmall', area: 'small', of: ({ recall }) => recall(2) },
  { name: 'ARmedium', area: 'medium', of: ({ recall }) => recall(2) },
  { name: 'ARlarge', area: 'large', of: ({ recall }) => recall(2) },
];

/** A mean over categories; −1 if there is none that counts. */
class Mean {
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#sum += value;
    this.#count++;
  }

  get value(): number {
    return this.#count === 0 ? -1 : this.#sum / this.#count;
  }
}

/** The score of a sample; undefined if it has no object to be found. */
function scoreArea(matches: AreaMatches, draws: Uint32Array, curve: PrecisionCurve): AreaScore | undefined {
  const positives = drawnObjects(matches.positives, draws);
  if (positives === 0) return undefined;
  curve.prepare(matches, draws, positives);
  return {
    precisions: matches.events.map((events) => curve.meanPrecision(matches, events)),
    recall: (limit) => averageRecall(matches, limit, draws, positives),
  };
}

function drawnObjects({ images, counts }: AreaMatches['positives'], draws: Uint32Array): number {
  let sum = 0;
  for (let index = 0; index < images.length; index++) sum += (draws[images[index] ?? 0] ?? 0) * (counts[index] ?? 0);
  return sum;
}

function averageRecall({ hits }: AreaMatches, limit: number, draws: Uint32Array, positives: number): number {
  let sum = 0;
  for (const images of hits[limit] ?? [])
    for (let index = 0; index < images.length; index++) sum += draws[images[index] ?? 0] ?? 0;
  return sum / positives / IOU_THRESHOLDS.length;
}

/** A position of `PrecisionCurve`: the event, and the numbers of entries, hits and detections that do not count up to it. */
interface CurveState {
  readonly index: number;
  readonly length: number;
  readonly hits: number;
  readonly ignored: number;
}

/** The precision over the recall of one category, in memory that is used again for each category and sample. */
class PrecisionCurve {
  /** For each event, how often its image was drawn, and the number of detections of the sample up to it. */
  readonly #copies: Uint32Array;
  readonly #counted: Float64Array;
  /** The number of recall thresholds that are reached when so many objects are found. */
  #reached = new Uint8Array();
  /** At each hit, the number of recall thresholds that are reached, and the precision. */
  readonly #thresholds: number[] = [];
  readonly #precisions: number[] = [];

  constructor(events: number) {
    this.#copies = new Uint32Array(events);
    this.#counted = new Float64Array(events);
  }

  /** Prepares what all thresholds share: where the events of the sample are, and what finding so many objects reaches. */
  prepare({ images, ends }: AreaMatches, draws: Uint32Array, positives: number): void {
    const [copies, counted] = [this.#copies, this.#counted];
    let [count, index] = [0, 0];
    for (let event = 0; event < ends.length; event++) {
      const end = ends[event] ?? 0;
      for (; index < end; index++) count += draws[images[index] ?? 0] ?? 0;
      counted[event] = count;
      copies[event] = draws[images[end - 1] ?? 0] ?? 0;
    }
    if (this.#reached.length <= positives) this.#reached = new Uint8Array(2 * positives + 1);
    let threshold = 0;
    for (let found = 0; found <= positives; found++) {
      while (threshold < RECALL_THRESHOLDS.length && (RECALL_THRESHOLDS[threshold] ?? 2) <= found / positives)
        threshold++;
      this.#reached[found] = threshold;
    }
  }

  /** The average precision at one threshold, whose events are given. */
  meanPrecision(matches: AreaMatches, events: Uint32Array): number {
    // Local variables, because this loop takes most of the time of a bootstrap.
    const [copies, counted, reached, tied] = [this.#copies, this.#counted, this.#reached, matches.ties.count];
    const [thresholds, precisions] = [this.#thresholds, this.#precisions];
    let [length, hits, ignored] = [0, 0, 0];
    for (let index = 0; index < events.length; index++) {
      const code = events[index] ?? 0;
      const event = code >> 1;
      const drawn = copies[event] ?? 0;
      if (drawn === 0) continue;
      if (drawn > 1 && tied[event] !== 1) {
        const after = this.#addTie(matches, events, { index, length, hits, ignored });
        ({ index, length, hits, ignored } = after);
      } else if (code & 1) ignored += drawn;
      else {
        // Hits of several copies of an image that follow each other are one entry: the precision rises up to the last.
        hits += drawn;
        thresholds[length] = reached[hits] ?? 0;
        // pycocotools adds the smallest step of floating point so that it never divides by 0.
        precisions[length++] = hits / ((counted[event] ?? 0) - ignored + Number.EPSILON);
      }
    }
    return this.#interpolate(length);
  }

  /**
   * Adds the events of an image that has several detections of one score: the copies of the image follow each other as a whole.
   * Returns the state after the last of them.
   */
  #addTie({ ends, ties }: AreaMatches, events: Uint32Array, state: CurveState): CurveState {
    let { length, hits, ignored } = state;
    const start = (event: number) => (ends[event] ?? 0) - (ties.before[event] ?? 0);
    const event = (events[state.index] ?? 0) >> 1;
    let next = state.index;
    while (next < events.length && start((events[next] ?? 0) >> 1) === start(event)) next++;
    const copies = this.#copies[event] ?? 0;
    const before = (this.#counted[event] ?? 0) - copies * ((ties.before[event] ?? 0) + 1);
    for (let copy = 0; copy < copies; copy++)
      for (let index = state.index; index < next; index++) {
        const code = events[index] ?? 0;
        const detections = before + copy * (ties.count[event] ?? 0) + (ties.before[code >> 1] ?? 0) + 1;
        if (code & 1) ignored++;
        else {
          hits++;
          this.#thresholds[length] = this.#reached[hits] ?? 0;
          this.#precisions[length++] = hits / (detections - ignored + Number.EPSILON);
        }
      }
    return { index: next - 1, length, hits, ignored };
  }

  /**
   * The mean over the recall thresholds of the highest precision at that recall or a higher one; 0 where the recall is never
   * reached. A detection that is no hit leaves the recall as it is and lowers the precision, so that the hits are enough.
   */
  #interpolate(length: number): number {
    const [thresholds, precisions] = [this.#thresholds, this.#precisions];
    let [sum, highest] = [0, 0];
    for (let index = length - 1; index >= 0; index--) {
      const precision = precisions[index] ?? 0;
      if (precision > highest) highest = precision;
      const below = index > 0 ? (thresholds[index - 1] ?? 0) : 0;
      sum += highest * ((thresholds[index] ?? 0) - below);
    }
    return sum / RECALL_THRESHOLDS.length;
  }
}
