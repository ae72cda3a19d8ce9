/** Pictures that browsers decode to other numbers than Pillow, and so dino8 in Node.js, does. */

/** The first bytes of PNG and JPEG files. */
const PNG = [0x89, 0x50, 0x4e, 0x47];
const JPEG = [0xff, 0xd8];
const startsWith = (bytes: Uint8Array, head: readonly number[]) => head.every((byte, at) => bytes[at] === byte);

/**
 * Says why a picture is refused, as the end of a sentence; undefined if it is not.
 * @param head the first bytes of the file, about a megabyte
 */
export function undecodableAlike(head: Uint8Array): string | undefined {
  // The header of a PNG file has the bits of a sample at 24, and at 25 the type of colours, of which 0 is gray.
  if (startsWith(head, PNG) && head[24] === 16 && head[25] === 0)
    return 'is grayscale of 16 bits, of which browsers and the training of the model keep different parts; convert it to 8 bits.';
  if (startsWith(head, JPEG) && jpegComponents(head) === 4)
    return 'stores inks (CMYK), which browsers and the training of the model convert differently; convert it to RGB.';
  return undefined;
}

/** The number of components of a JPEG file; undefined if its header is not within the bytes. */
function jpegComponents(bytes: Uint8Array): number | undefined {
  for (let at = 2; at + 9 < bytes.length; ) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++;
      continue;
    }
    // Frames start with the markers 0xC0 to 0xCF, but for those of tables (C4, CC) and extensions (C8).
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return bytes[at + 9];
    at += 2 + (bytes[at + 2] ?? 0) * 256 + (bytes[at + 3] ?? 0);
  }
  return undefined;
}
