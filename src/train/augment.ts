/**
 * Augmentation: a training image is mirrored, cropped, resized and recoloured at random, and its boxes are changed with it.
 * The same choices give the same pixels.
 */
import type { Sharp } from 'sharp';
import type { Image } from '../data/image.ts';
import type { Box, LabelledBox } from '../data/labelled-box.ts';
import type { Preprocessing } from '../data/preprocessing.ts';
import { resample } from '../data/resample.ts';
import { sharp } from '../data/sharp.ts';
import { resizedSize, type Size } from '../data/size.ts';

/** The changes of one image. */
export interface Augmentation {
  /** Whether left and right are exchanged. */
  readonly mirror: boolean;
  /** The part of the image that is kept, in fractions of width and height; undefined keeps the whole image. */
  readonly crop:
    | { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
    | undefined;
  /** The size on the canvas, as a fraction of the one that the preprocessing gives, or the largest that fits. */
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

/** How images come onto the canvas of a batch. */
export interface Placement {
  /** The maximum size of an image, in pixels. */
  readonly canvas: Size;
  /** Whether images may become larger than by the preprocessing, to fill the canvas. */
  readonly enlarge: boolean;
  /** How the model resizes images. */
  readonly preprocessing: Pick<Preprocessing, 'size' | 'resample'>;
}

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
 * Changes an image and its boxes. Without changes the result is what the model sees of the image in use.
 * @param labels boxes in pixels of the image
 * @returns the new image and the boxes that are still visible, in pixels of the new image
 */
export async function augment(
  image: Image,
  labels: readonly LabelledBox[],
  changes: Augmentation,
  { canvas, enlarge, preprocessing }: Placement,
): Promise<{ image: Image; labels: LabelledBox[] }> {
  const part = cropOf(image, changes);
  const wanted = resizedSize(part, preprocessing.size);
  const largest = Math.min(canvas.height / wanted.height, canvas.width / wanted.width);
  const factor = (enlarge ? largest : Math.min(1, largest)) * changes.scale;
  const size = {
    width: Math.max(1, Math.min(canvas.width, Math.round(wanted.width * factor))),
    height: Math.max(1, Math.min(canvas.height, Math.round(wanted.height * factor))),
  };
  const kept = changes.crop ? await edit(image, (pipeline) => pipeline.extract(part)) : image;
  const resized = resample(kept, size, preprocessing.resample);
  const isEdited = changes.mirror || changes.brightness !== 1 || changes.saturation !== 1;
  const edited = isEdited
    ? await edit(resized, (pipeline) => recolour(pipeline.flop(changes.mirror), changes))
    : resized;
  const scale = { x: size.width / part.width, y: size.height / part.height };
  return {
    image: edited,
    labels: labels.flatMap(({ box, category }) => {
      const moved = moveBox(box, part, scale, changes.mirror ? size.width : undefined);
      return moved ? [{ box: moved, category }] : [];
    }),
  };
}

/** Edits pixels by a pipeline of sharp. */
async function edit({ width, height, pixels }: Image, change: (pipeline: Sharp) => Sharp): Promise<Image> {
  const { data, info } = await change(await sharp(pixels, { raw: { width, height, channels: 3 } }))
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, pixels: data };
}

function recolour(pipeline: Sharp, { brightness, saturation }: Augmentation): Sharp {
  return brightness === 1 && saturation === 1 ? pipeline : pipeline.modulate({ brightness, saturation });
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
