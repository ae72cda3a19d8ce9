/** How the range of a value moves with the length of the prompt. */
import type { Statistic } from './statistic.ts';

export interface TextDependence {
  /** The widest range of all lengths over the narrowest; 1 where the text has no influence. */
  readonly factor: number;
  /** Width of the range by length of the prompt, shortest first. */
  readonly widths: readonly { readonly tokens: number; readonly images: number; readonly width: number }[];
}

/** Lengths seen fewer times say more of the images than of the text. */
const FEWEST_IMAGES = 4;

export function textDependence({ lengths }: Statistic): TextDependence {
  const widths = lengths.map(({ tokens, images, min, max }) => ({
    tokens,
    images,
    width: Math.max(max, 0) - Math.min(min, 0),
  }));
  const judged = widths.filter(({ images }) => images >= FEWEST_IMAGES).map(({ width }) => width);
  const narrowest = Math.min(...judged);
  return { factor: judged.length > 1 && narrowest > 0 ? Math.max(...judged) / narrowest : 1, widths };
}
