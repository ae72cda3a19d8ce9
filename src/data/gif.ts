/** Changes GIF files so that the image library decodes them as Pillow does. Layout: https://www.w3.org/Graphics/GIF/spec-gif89a.txt */

const HEADER_BYTES = 13;
const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;

/**
 * Makes transparent places of the first picture of a GIF opaque, so that they get their colour of the palette instead of black,
 * as where Pillow drops the transparency.
 * @returns the file, or a changed copy
 */
export function withoutGifTransparency(bytes: Uint8Array): Uint8Array {
  const screen = bytes[10] ?? 0;
  const palette = screen & 0x80 ? 3 * 2 ** ((screen & 7) + 1) : 0;
  let at = HEADER_BYTES + palette;
  // The blocks before the first picture are extensions, each followed by parts with their lengths up to one of length 0.
  while (bytes[at] === EXTENSION) {
    if (bytes[at + 1] === GRAPHIC_CONTROL) {
      const changed = bytes.slice();
      changed[at + 3] = (bytes[at + 3] ?? 0) & ~1;
      return changed;
    }
    at += 2;
    while (at < bytes.length && bytes[at] !== 0) at += 1 + (bytes[at] ?? 0);
    at++;
  }
  return bytes;
}
