import { roundHalfToEven } from '../base/round.ts';

/** The size an image is resized to, as Hugging Face computes it (`get_size_with_aspect_ratio`). */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/**
 * The shorter side becomes `shortest`, unless the longer one would exceed `longest`, which then decides; the ratio
 * that the longer one gives stays unrounded. No side becomes less than a pixel.
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
