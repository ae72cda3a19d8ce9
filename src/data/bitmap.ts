/**
 * Windows bitmaps (BMP), which the image library does not read. The npm packages that do decode pictures of 16 bits, run lengths
 * and odd widths of 4 bits to other colours than Pillow. Layout: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage
 */
import { InputError } from '../base/errors.ts';
import type { Image } from './rgb-image.ts';

/** The sizes of the second header: OS/2 version 1, version 3, its variants with masks, OS/2 version 2, versions 4 and 5. */
const HEADER_SIZES = new Set([12, 40, 52, 56, 64, 108, 124]);
const FILE_HEADER = 14;
const RAW = 0;
const RUN_LENGTHS = new Map([
  [1, 8],
  [2, 4],
]);
const MASKS = 3;
const MASKS_WITH_ALPHA = 6;
/** The meanings of the second byte of a run of length 0. Other values are the number of pixels that follow uncompressed. */
const [END_OF_ROW, END_OF_PICTURE, MOVE] = [0, 1, 2];

/** The fields of a bitmap's headers. */
export interface BitmapHeader {
  readonly width: number;
  readonly height: number;
  /** True if the first row of the file is the upper one. */
  readonly isTopDown: boolean;
  readonly bits: number;
  readonly compression: number;
  /** The position of the palette, or of the masks, in bytes. */
  readonly end: number;
  readonly headerSize: number;
  /** The stated number of colours of the palette; 0 stands for all. */
  readonly colours: number;
  /** The position of the pixels, in bytes. */
  readonly offset: number;
}

/**
 * Reads the headers of a bitmap, so that its size is known before memory is taken for its pixels.
 * @throws InputError if the headers are damaged
 */
export function readBitmapHeader(bytes: Uint8Array, source: string): BitmapHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerSize = bytes.length < FILE_HEADER + 4 ? 0 : view.getUint32(FILE_HEADER, true);
  const end = FILE_HEADER + headerSize;
  if (!HEADER_SIZES.has(headerSize) || bytes.length < end) throw damaged(source, 'its header is damaged');
  const isOld = headerSize === 12;
  const width = isOld ? view.getUint16(18, true) : view.getInt32(18, true);
  const height = isOld ? view.getUint16(20, true) : view.getInt32(22, true);
  if (width <= 0 || height === 0) throw damaged(source, `its header says ${width}x${height} pixels`);
  return {
    width,
    height: Math.abs(height),
    isTopDown: height < 0,
    bits: view.getUint16(isOld ? 24 : 28, true),
    compression: isOld ? RAW : view.getUint32(30, true),
    end,
    headerSize,
    colours: isOld ? 0 : view.getUint32(46, true),
    offset: view.getUint32(10, true),
  };
}

/**
 * Decodes a bitmap of 1 to 32 bits a pixel, raw or in run lengths. Transparency is dropped.
 * @param header the headers, whose size the caller has found small enough
 * @throws InputError if the bitmap is damaged, or holds a JPEG or PNG picture
 */
export function decodeBitmap(bytes: Uint8Array, header: BitmapHeader, source: string): Image {
  const { width, height, isTopDown, bits, compression, headerSize } = header;
  const isKnown =
    compression === RAW ||
    RUN_LENGTHS.get(compression) === bits ||
    // In OS/2's second version 3 and 4 are other compressions.
    ((compression === MASKS || compression === MASKS_WITH_ALPHA) && headerSize !== 64 && (bits === 16 || bits === 32));
  if (!isKnown || ![1, 2, 4, 8, 16, 24, 32].includes(bits))
    throw damaged(source, `it has ${bits} bits a pixel in the compression ${compression}, which is not supported`);
  const pixels = new Uint8Array(width * height * 3);
  const colourOf = bits <= 8 ? paletteReader(bytes, header, source) : maskReader(bytes, header, source);
  const read = RUN_LENGTHS.has(compression) ? readRuns(bytes, header, source) : rawReader(bytes, header, source);
  for (let row = 0; row < height; row++) {
    let to = (isTopDown ? row : height - 1 - row) * width * 3;
    for (let column = 0; column < width; column++, to += 3) {
      const colour = colourOf(read(row, column));
      pixels[to] = colour >> 16;
      pixels[to + 1] = colour >> 8;
      pixels[to + 2] = colour;
    }
  }
  return { width, height, pixels };
}

/** Encodes an image as a bitmap of 24 bits. */
export function encodeBitmap({ width, height, pixels }: Image): Uint8Array {
  const [stride, start] = [rowBytes(width, 24), FILE_HEADER + 40];
  const bytes = new Uint8Array(start + stride * height);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, start, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const from = ((height - 1 - row) * width + column) * 3;
      const to = start + row * stride + column * 3;
      for (let channel = 0; channel < 3; channel++) bytes[to + 2 - channel] = pixels[from + channel] ?? 0;
    }
  return bytes;
}

const damaged = (source: string, what: string) =>
  new InputError(`${source} cannot be decoded as a BMP image: ${what}.`);

/** Rows are padded to a multiple of four bytes. */
const rowBytes = (width: number, bits: number): number => Math.ceil((width * bits) / 32) * 4;

/** Reads the number of a pixel by its row in the file and its column: an index of the palette, or bits with masks. */
type NumberReader = (row: number, column: number) => number;

function rawReader(bytes: Uint8Array, header: BitmapHeader, source: string): NumberReader {
  const { width, height, bits } = header;
  const [start, stride] = [pixelOffset(header), rowBytes(width, bits)];
  // The padding of the last row may be missing.
  if (start + stride * (height - 1) + Math.ceil((width * bits) / 8) > bytes.length)
    throw damaged(source, 'it ends before its last row');
  if (bits > 8) {
    const size = bits / 8;
    return (row, column) => {
      const at = start + row * stride + column * size;
      let number = 0;
      for (let byte = size - 1; byte >= 0; byte--) number = number * 256 + (bytes[at + byte] ?? 0);
      return number;
    };
  }
  const mask = (1 << bits) - 1;
  return (row, column) => {
    const place = column * bits;
    return ((bytes[start + row * stride + (place >> 3)] ?? 0) >> (8 - bits - (place & 7))) & mask;
  };
}

/** Some writers leave the palette out of the offset of the pixels. */
function pixelOffset({ offset, end, bits, colours, headerSize }: BitmapHeader): number {
  return bits <= 8 && offset === end ? end + (colours || 2 ** bits) * (headerSize === 12 ? 3 : 4) : offset;
}

/** The colours of the palette as 0xRRGGBB, black where it has none. */
function paletteReader(bytes: Uint8Array, { bits, colours, headerSize, end }: BitmapHeader, source: string) {
  const size = headerSize === 12 ? 3 : 4;
  const count = Math.min(colours || 2 ** bits, 2 ** bits);
  if (end + count * size > bytes.length) throw damaged(source, 'its palette is cut off');
  const palette = Array.from({ length: count }, (_, index) => {
    const [blue = 0, green = 0, red = 0] = bytes.subarray(end + index * size);
    return (red << 16) | (green << 8) | blue;
  });
  return (index: number) => palette[index] ?? 0;
}

/** Standard masks of red, green and blue by the bits of a pixel. */
const STANDARD_MASKS: Readonly<Record<number, readonly number[]>> = {
  16: [0x7c00, 0x3e0, 0x1f],
  24: [0xff0000, 0xff00, 0xff],
  32: [0xff0000, 0xff00, 0xff],
};

function maskReader(bytes: Uint8Array, { bits, compression, end, headerSize }: BitmapHeader, source: string) {
  let masks = STANDARD_MASKS[bits] ?? [];
  if (compression !== RAW) {
    // Larger headers contain the masks, a header of 40 bytes is followed by them.
    const start = headerSize > 40 ? FILE_HEADER + 40 : end;
    if (start + 12 > bytes.length) throw damaged(source, 'its masks are cut off');
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, 12);
    const stated = [0, 4, 8].map((at) => view.getUint32(at, true));
    if (stated.some((mask) => mask !== 0)) masks = stated;
  }
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    const largest = mask >>> shift;
    return { shift, largest };
  });
  return (number: number) => {
    let colour = 0;
    for (const { shift, largest } of channels) {
      const part = (number >>> shift) & largest;
      colour = (colour << 8) | (largest === 255 || largest === 0 ? part : Math.floor(((part >>> 0) * 255) / largest));
    }
    return colour;
  };
}

/** Decodes run lengths into the index of each pixel. Pixels that the file leaves out have the index 0. */
function readRuns(bytes: Uint8Array, header: BitmapHeader, source: string): NumberReader {
  const { width, height, bits } = header;
  const indices = new Uint8Array(width * height);
  /** The index at a place of a run, whose bytes begin at `start`. */
  const indexAt = (start: number, place: number): number => {
    if (bits === 8) return bytes[start + place] ?? 0;
    const byte = bytes[start + (place >> 1)] ?? 0;
    return place % 2 === 0 ? byte >> 4 : byte & 0xf;
  };
  let [at, row, column] = [pixelOffset(header), 0, 0];
  const put = (count: number, indexOf: (place: number) => number) => {
    const end = Math.min(column + count, width);
    for (let place = 0; column < end; place++) indices[row * width + column++] = indexOf(place);
  };
  while (row < height) {
    const [count, code] = [bytes[at], bytes[at + 1]];
    if (count === undefined || code === undefined) throw damaged(source, 'it ends before its last row');
    const value = at + 1;
    at += 2;
    if (count > 0) put(count, (place) => indexAt(value, bits === 8 ? 0 : place % 2));
    else if (code === END_OF_PICTURE) break;
    else if (code === END_OF_ROW) [row, column] = [row + 1, 0];
    else if (code === MOVE) {
      [row, column] = [row + (bytes[at + 1] ?? 0), column + (bytes[at] ?? 0)];
      at += 2;
    } else {
      const start = at;
      put(code, (place) => indexAt(start, place));
      at += Math.ceil((code * bits) / 16) * 2; // Runs are padded to an even number of bytes.
    }
  }
  return (line, place) => indices[line * width + place] ?? 0;
}
