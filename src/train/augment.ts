/**
 * Augmentation: a training image is mirrored, cropped, resized and recoloured at random, and its boxes are changed with it.
 * The same choices give the same pixels.
 */
import sharp from 'sharp';
import type { Image } from '../data/image.ts';
import type { Box, LabelledBox } from '../data/labelled-box.ts';
import type { Size } from '../data/size.ts';

/** The changes of one image. */
export interface Augmentation {
  /** Whether left and right are exchanged. */
  readonly mirror: boolean;
  /** The part of the image that is kept, in fractions of width and height; undefined keeps the whole image. */
  readonly crop:
    | { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
    | undefined;
  /** The size on the canvas, as a fraction of the maximum that fits. */
  readonly scale: number;
  /** The factor of brightness; 1 changes nothing. */
  readonly brightness: number;
  /** The factor of saturation; 1 changes nothing. */
  readonly saturation: number;
}

/** No changes but the fit into the canvas. */
export const NO_AUGMENTATION: Augmentation = {
  mirror: false,
  crop: undefined,
  scale: 1,
  brightness: 1,
  saturation: 1,
};

/** How strongly images are changed. */
export interface AugmentationStrength {
  /** The probability of mirroring. */
  readonly mirror: number;
  /** The probability of cropping and shrinking. */
  readonly crop: number;
  /** The minimum fraction of a side that a crop keeps, and the minimum scale on the canvas. */
  readonly smallest: number;
  /** The maximum relative change of brightness and saturation. */
  readonly colour: number;
}

/**
 * Draws the changes of one image.
 * @param random returns the next number, uniform in [0, 1)
 */
export function chooseAugmentation(strength: AugmentationStrength, random: () => number): Augmentation {
  const between = (low: number, high: number) => low + (high - low) * random();
  // All numbers are drawn whatever is used of them, so that one setting does not change the other choices.
  const [mirror, cropped] = [random() < strength.mirror, random() < strength.crop];
  const [width, height] = [between(strength.smallest, 1), between(strength.smallest, 1)];
  const crop = { width, height, left: random() * (1 - width), top: random() * (1 - height) };
  const scale = between(strength.smallest, 1);
  const factor = () => between(1 - strength.colour, 1 + strength.colour);
  const [brightness, saturation] = [factor(), factor()];
  return { mirror, crop: cropped ? crop : undefined, scale: cropped ? scale : 1, brightness, saturation };
}

/** A box of which a crop leaves less than this fraction of its area is no target any more. */
const MINIMUM_VISIBLE = 0.3;

/**
 * Changes an image and its boxes.
 * @param labels boxes in pixels of the image
 * @param canvas the maximum size of the result, in pixels
 * @returns the new image and the boxes that are still visible, in pixels of the new image
 */
export async function augment(
  image: Image,
  labels: readonly LabelledBox[],
  changes: Augmentation,
  canvas: Size,
): Promise<{ image: Image; labels: LabelledBox[] }> {
  const part = cropOf(image, changes);
  const fit = Math.min(canvas.height / part.height, canvas.width / part.width) * changes.scale;
  const size = {
    width: Math.max(1, Math.min(canvas.width, Math.round(part.width * fit))),
    height: Math.max(1, Math.min(canvas.height, Math.round(part.height * fit))),
  };
  const isResized = size.width !== part.width || size.height !== part.height;
  const isRecoloured = changes.brightness !== 1 || changes.saturation !== 1;
  let pipeline = sharp(image.pixels, { raw: { width: image.width, height: image.height, channels: 3 } });
  if (changes.crop) pipeline = pipeline.extract(part);
  if (isResized) pipeline = pipeline.resize({ ...size, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
  if (changes.mirror) pipeline = pipeline.flop();
  if (isRecoloured) pipeline = pipeline.modulate({ brightness: changes.brightness, saturation: changes.saturation });
  const isChanged = changes.crop || isResized || changes.mirror || isRecoloured;
  const pixels = isChanged ? await pipeline.toColourspace('srgb').removeAlpha().raw().toBuffer() : image.pixels;
  const scale = { x: size.width / part.width, y: size.height / part.height };
  return {
    image: { ...size, pixels },
    labels: labels.flatMap(({ box, category }) => {
      const moved = moveBox(box, part, scale, changes.mirror ? size.width : undefined);
      return moved ? [{ box: moved, category }] : [];
    }),
  };
}

/** The part of an image that is kept, in whole pixels. */
function cropOf({ width, height }: Size, { crop }: Augmentation) {
  if (!crop) return { left: 0, top: 0, width, height };
  const [left, top] = [Math.floor(crop.left * width), Math.floor(crop.top * height)];
  return {
    left,
    top,
    width: Math.max(1, Math.min(width - left, Math.round(crop.width * width))),
    height: Math.max(1, Math.min(height - top, Math.round(crop.height * height))),
  };
}

/** The visible part of a box in the new image; undefined if too little of it is left. */
function moveBox(
  [x, y, width, height]: Box,
  part: { left: number; top: number; width: number; height: number },
  scale: { x: number; y: number },
  mirroredWidth: number | undefined,
): Box | undefined {
  const clamp = (value: number, limit: number) => Math.min(Math.max(value, 0), limit);
  const [left, right] = [clamp(x - part.left, part.width), clamp(x + width - part.left, part.width)];
  const [top, bottom] = [clamp(y - part.top, part.height), clamp(y + height - part.top, part.height)];
  if ((right - left) * (bottom - top) <= MINIMUM_VISIBLE * width * height) return undefined;
  const box = [left * scale.x, top * scale.y, (right - left) * scale.x, (bottom - top) * scale.y] as const;
  return mirroredWidth === undefined ? box : [mirroredWidth - box[0] - box[2], box[1], box[2], box[3]];
}
