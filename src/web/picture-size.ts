/** The size of a picture by its first bytes, so that it is known before a browser takes memory for the pixels. */
import type { Size } from '../data/size.ts';

/** Whether bytes have this text at this place. */
const isAt = (bytes: Uint8Array, at: number, text: string): boolean =>
  bytes.length >= at + text.length &&
  [...text].every((character, index) => bytes[at + index] === character.charCodeAt(0));

/**
 * The size that the header of a PNG, JPEG, WebP, GIF, BMP or AVIF file states, before it is turned; undefined if the bytes do not have it.
 * @param head the first bytes of the file, about a megabyte
 */
export function pictureSize(head: Uint8Array): Size | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  try {
    if (isAt(head, 1, 'PNG')) return { width: view.getUint32(16), height: view.getUint32(20) };
    if (isAt(head, 0, 'GIF8')) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (isAt(head, 0, 'BM')) return bitmapSize(view);
    if (isAt(head, 0, 'RIFF') && isAt(head, 8, 'WEBP')) return webpSize(head, view);
    if (isAt(head, 4, 'ftyp')) return avifSize(head, view);
    const frame = jpegFrame(head);
    return frame === undefined ? undefined : { width: view.getUint16(frame + 7), height: view.getUint16(frame + 5) };
  } catch {
    // The header ends before its size; the browser says what is wrong with it.
    return undefined;
  }
}

/**
 * The place of the marker of the frame of a JPEG file, behind which its size and its components are; undefined if it is not within the
 * bytes.
 */
export function jpegFrame(bytes: Uint8Array): number | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  for (let at = 2; at + 9 < bytes.length; ) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++;
      continue;
    }
    // Frames start with the markers 0xC0 to 0xCF, but for those of tables (C4, CC) and extensions (C8).
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return at;
    at += 2 + (bytes[at + 2] ?? 0) * 256 + (bytes[at + 3] ?? 0);
  }
  return undefined;
}

/** A height below 0 says that the upper row comes first. A header of 12 bytes is that of OS/2. */
function bitmapSize(view: DataView): Size {
  if (view.getUint32(14, true) === 12) return { width: view.getUint16(18, true), height: view.getUint16(20, true) };
  return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
}

/** The three forms of WebP: extended, lossless, and lossy (https://developers.google.com/speed/webp/docs/riff_container). */
function webpSize(head: Uint8Array, view: DataView): Size | undefined {
  const low = (at: number) => view.getUint32(at, true);
  if (isAt(head, 12, 'VP8X')) return { width: (low(24) & 0xffffff) + 1, height: (low(26) >>> 8) + 1 };
  if (isAt(head, 12, 'VP8L')) return { width: (low(21) & 0x3fff) + 1, height: ((low(21) >>> 14) & 0x3fff) + 1 };
  if (isAt(head, 12, 'VP8 ')) return { width: low(26) & 0x3fff, height: (low(26) >>> 16) & 0x3fff };
  return undefined;
}

/** The boxes of an AVIF file in front of its data are not longer. */
const AVIF_HEAD = 1 << 16;

/** The largest of the boxes `ispe`, which state the sizes of a file's pictures. */
function avifSize(head: Uint8Array, view: DataView): Size | undefined {
  let largest: Size | undefined;
  // They are in front of the data of the pictures.
  for (let at = 0; at + 16 <= Math.min(head.length, AVIF_HEAD); at++) {
    if (!isAt(head, at, 'ispe')) continue;
    const size = { width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
    if (!largest || size.width * size.height > largest.width * largest.height) largest = size;
  }
  return largest;
}
