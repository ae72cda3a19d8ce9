/** How much the range of a value changes with the length of the prompt. */
import type { Statistic } from './statistic.ts';

/** The ranges of a value by the length of the prompt. */
export interface TextDependence {
  /** The width of the widest range divided by that of the narrowest; 1 if the text has no influence. */
  readonly factor: number;
  /** The width of the range by the length of the prompt, shortest first. */
  readonly widths: readonly {
    /** The maximum number of tokens of these prompts. */
    readonly tokens: number;
    /** The number of samples with such a prompt. */
    readonly images: number;
    /** The width of the range that holds their values and 0. */
    readonly width: number;
  }[];
}

/** With fewer samples of a length, the images influence the range more than the text does. */
const MINIMUM_IMAGES = 4;

/** Compares the ranges of a value over the lengths of the prompt. */
export function textDependence({ lengths }: Statistic): TextDependence {
  const widths = lengths.map(({ tokens, images, min, max }) => ({
    tokens,
    images,
    width: Math.max(max, 0) - Math.min(min, 0),
  }));
  const judged = widths.filter(({ images }) => images >= MINIMUM_IMAGES).map(({ width }) => width);
  const narrowest = Math.min(...judged);
  return { factor: judged.length > 1 && narrowest > 0 ? Math.max(...judged) / narrowest : 1, widths };
}
