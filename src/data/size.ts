import { roundHalfToEven } from '../base/round.ts';

/** The size of an image in pixels. */
export interface Size {
  /** The number of rows. */
  readonly height: number;
  /** The number of columns. */
  readonly width: number;
}

/**
 * The size to which an image is resized, as `get_size_with_aspect_ratio` of transformers computes it: the shorter side
 * becomes `shortest`, unless the longer side would then exceed `longest`; in that case the longer side becomes `longest`.
 * No side becomes smaller than one pixel.
 */
export function resizedSize({ height, width }: Size, shortest: number, longest: number): Size {
  const [short, long] = [Math.min(height, width), Math.max(height, width)];
  const limited = (long / short) * shortest > longest;
  const exact = limited ? (longest * short) / long : shortest;
  const target = limited ? roundHalfToEven(exact) : shortest;
  if (short === target) return { height, width };
  const side = (other: number) => Math.max(1, Math.trunc((exact * other) / short));
  const near = Math.max(1, target);
  return width < height ? { width: near, height: side(height) } : { height: near, width: side(width) };
}
