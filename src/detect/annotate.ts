/** Draws boxes with their phrases into an image. */

import { checkValue, listOf, objectWith, oneOf } from '../base/check-options.ts';
import { type Markup, markup } from '../base/markup.ts';
import { encodeImage, layOver } from '../data/encode-image.ts';
import type { PictureFormat } from '../data/file-kind.ts';
import type { Image } from '../data/image.ts';
import { checkImage } from '../data/rgb-image.ts';
import type { Size } from '../data/size.ts';
import type { Detection } from './base-detector.ts';

/** Colours that are distinct and readable on photographs. A phrase has the same colour in all images of a prompt. */
const COLOURS = [
  '#e6194b',
  '#0082c8',
  '#3cb44b',
  '#f58231',
  '#911eb4',
  '#008080',
  '#d4a017',
  '#f032e6',
  '#aa6e28',
  '#46bdc6',
];

const colourOf = (phrase: number): string => COLOURS[phrase % COLOURS.length] ?? '#e6194b';

/**
 * The boxes with their phrases and scores, as an SVG of the image's size that can be laid over it. Better boxes are
 * drawn over worse ones.
 * @param size the size of the image in pixels
 */
export function drawBoxes({ width, height }: Size, detections: readonly Detection[]): Markup {
  const unit = Math.max(1, Math.min(width, height) / 300);
  const font = 8 * unit;
  const shapes = detections.toReversed().map(({ box: [x, y, w, h], label, score, phrase }) => {
    const colour = colourOf(phrase);
    const text = `${label} ${score.toFixed(2)}`;
    const top = y > font * 1.4 ? y - font * 1.3 : y;
    const textWidth = text.length * font * 0.56 + unit * 4;
    const left = Math.max(0, Math.min(x, width - textWidth));
    return [
      markup`<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${w.toFixed(1)}" height="${h.toFixed(1)}" fill="none" stroke="${colour}" stroke-width="${1.5 * unit}"/>`,
      markup`<rect x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${textWidth.toFixed(1)}" height="${(font * 1.3).toFixed(1)}" fill="${colour}"/>`,
      markup`<text x="${(left + 2 * unit).toFixed(1)}" y="${(top + font).toFixed(1)}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="${font}" fill="white">${text}</text>`,
    ];
  });
  return markup`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${shapes}</svg>`;
}

/** The image with the boxes of detections drawn in. */
export const drawInto = (image: Image, detections: readonly Detection[]): Promise<Image> =>
  layOver(image, drawBoxes(image, detections).toString());

const detectionsSchema = listOf('a list of detections', objectWith('a detection', 'box', 'label', 'score'));

/**
 * Draws the boxes of detections into a copy of an image.
 * @param format the format of the file; JPEG by default
 * @returns the file
 * @throws InputError if the image cannot be encoded
 * @example
 * import { writeFile } from 'node:fs/promises';
 *
 * const image = await readImage('photo.jpg');
 * await writeFile('found.jpg', await annotateImage(image, await detector.detect(image, prompt)));
 */
export async function annotateImage(
  image: Image,
  detections: readonly Detection[],
  format: PictureFormat = 'jpeg',
): Promise<Uint8Array> {
  checkImage(image);
  checkValue('The detections', detectionsSchema, detections);
  checkValue('The format', oneOf(['jpeg', 'png', 'webp', 'gif', 'tiff', 'bmp', 'avif']), format);
  return encodeImage(await drawInto(image, detections), format);
}
