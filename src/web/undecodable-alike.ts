/** Pictures that browsers decode to other numbers than Pillow, and so dino8 in Node.js, does. */

import { jpegFrame } from './picture-size.ts';

/** The first bytes of PNG files. */
const PNG = [0x89, 0x50, 0x4e, 0x47];
const startsWith = (bytes: Uint8Array, head: readonly number[]) => head.every((byte, at) => bytes[at] === byte);

/**
 * Says why a picture is refused, as the end of a sentence; undefined if it is not.
 * @param head the first bytes of the file, about a megabyte
 */
export function undecodableAlike(head: Uint8Array): string | undefined {
  // The header of a PNG file has the bits of a sample at 24, and at 25 the type of colours, of which 0 is gray.
  if (startsWith(head, PNG) && head[24] === 16 && head[25] === 0)
    return 'is grayscale of 16 bits, of which browsers and the training of the model keep different parts; convert it to 8 bits.';
  const frame = jpegFrame(head);
  // The number of components is behind the size.
  if (frame !== undefined && head[frame + 9] === 4)
    return 'stores inks (CMYK), which browsers and the training of the model convert differently; convert it to RGB.';
  return undefined;
}
