import { roundHalfToEven } from '../base/round.ts';

/** The size of an image in pixels. */
export interface Size {
  /** The number of rows. */
  readonly height: number;
  /** The number of columns. */
  readonly width: number;
}

/** The rule for the size of a resized picture: by its edges, within limits, or exactly; see `resizedSize`. */
export type SizeRule =
  | {
      /** The length in pixels that the shorter side gets, unless the longer side would be too long. */
      readonly shortest_edge: number;
      /** The maximum length of the longer side in pixels. */
      readonly longest_edge: number;
    }
  | {
      /** The maximum height in pixels of a picture that keeps its proportions. */
      readonly max_height: number;
      /** The maximum width in pixels. */
      readonly max_width: number;
    }
  | Size;

/** The size to which an image is resized by a rule, as transformers computes it. No side becomes smaller than one pixel. */
export function resizedSize(image: Size, rule: SizeRule | undefined): Size {
  if (!rule) return { height: image.height, width: image.width };
  if ('height' in rule) return { height: rule.height, width: rule.width };
  if ('max_height' in rule) return withinLimits(image, { height: rule.max_height, width: rule.max_width });
  return byEdges(image, rule.shortest_edge, rule.longest_edge);
}

/** The largest size of the same proportions within limits, as `get_image_size_for_max_height_width` computes it. */
function withinLimits({ height, width }: Size, limits: Size): Size {
  const scale = Math.min(limits.height / height, limits.width / width);
  return { height: Math.max(1, Math.trunc(height * scale)), width: Math.max(1, Math.trunc(width * scale)) };
}

/**
 * The shorter side becomes `shortest`, unless the longer side would then exceed `longest`; in that case the longer side
 * becomes `longest`. This is `get_size_with_aspect_ratio` of transformers.
 */
function byEdges({ height, width }: Size, shortest: number, longest: number): Size {
  const [short, long] = [Math.min(height, width), Math.max(height, width)];
  const limited = (long / short) * shortest > longest;
  const exact = limited ? (longest * short) / long : shortest;
  const target = limited ? roundHalfToEven(exact) : shortest;
  if (short === target) return { height, width };
  const side = (other: number) => Math.max(1, Math.trunc((exact * other) / short));
  const near = Math.max(1, target);
  return width < height ? { width: near, height: side(height) } : { height: near, width: side(width) };
}
