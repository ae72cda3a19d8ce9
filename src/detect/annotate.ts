/** Drawing boxes with their phrases into an image. */
import sharp from 'sharp';
import { InputError, messageOf } from '../base/errors.ts';
import type { Image } from '../data/image.ts';
import type { Detection } from './detector.ts';

/** Distinct and readable on photographs; a phrase keeps its colour within a prompt. */
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

export const colourOf = (phrase: number): string => COLOURS[phrase % COLOURS.length] ?? '#e6194b';

const escapeXml = (text: string) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`).replace(/[^\t\n\r\x20-\uFFFD]/g, '?');

/** The boxes as an SVG overlay of the image's size. */
export function drawBoxes(
  { width, height }: Pick<Image, 'width' | 'height'>,
  detections: readonly Detection[],
): string {
  const unit = Math.max(1, Math.min(width, height) / 300);
  const font = 8 * unit;
  const shapes = detections.toReversed().map(({ box: [x, y, w, h], label, score, phrase }) => {
    const colour = colourOf(phrase);
    const text = `${label} ${score.toFixed(2)}`;
    const above = y > font * 1.4 ? y - font * 1.3 : y;
    const textWidth = text.length * font * 0.56 + unit * 4;
    const left = Math.max(0, Math.min(x, width - textWidth));
    return (
      `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${w.toFixed(1)}" height="${h.toFixed(1)}" fill="none" stroke="${colour}" stroke-width="${1.5 * unit}"/>` +
      `<rect x="${left.toFixed(1)}" y="${above.toFixed(1)}" width="${textWidth.toFixed(1)}" height="${(font * 1.3).toFixed(1)}" fill="${colour}"/>` +
      `<text x="${(left + 2 * unit).toFixed(1)}" y="${(above + font).toFixed(1)}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="${font}" fill="white">${escapeXml(text)}</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${shapes.join('')}</svg>`;
}

/** The image with the boxes drawn in, encoded as JPEG. */
export async function annotateImage(image: Image, detections: readonly Detection[]): Promise<Uint8Array> {
  try {
    return await sharp(image.pixels, { raw: { width: image.width, height: image.height, channels: 3 } })
      .composite([{ input: Buffer.from(drawBoxes(image, detections)), top: 0, left: 0 }])
      .jpeg({ quality: 92 })
      .toBuffer();
  } catch (error) {
    throw new InputError(`The annotated image could not be encoded (${messageOf(error)}).`);
  }
}
