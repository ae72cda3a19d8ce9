/**
 * Reads from a TIFF file how its pixels are stored, which the image library does not tell. Layouts: TIFF 6.0, section 2
 * (https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf), and BigTIFF (https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
 */

/** How the pixels of the first page are stored. A tag that the file lacks has its default, or is undefined if it has none. */
export interface TiffTags {
  /** The bits of the first sample of a pixel. */
  readonly bits: number;
  /** The number of samples of a pixel. */
  readonly samples: number;
  readonly compression: number;
  /** The meaning of the samples: 0 gray from white to black, 1 gray, 2 RGB, 3 palette, 5 inks, 6 YCbCr, and others. */
  readonly photometric: number | undefined;
}

const [BITS, COMPRESSION, PHOTOMETRIC, SAMPLES] = [258, 259, 262, 277];
const SHORT = 3;
const BIG = 43;
/** More tags than this are in no real file. */
const MAX_TAGS = 4096;

/** Reads the tags of the first page. Of a damaged file it reads what is there; the decoder will refuse it. */
export function readTiffTags(bytes: Uint8Array): TiffTags {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isLittle = bytes[0] === 0x49;
  const short = (at: number) => (at + 2 <= bytes.length ? view.getUint16(at, isLittle) : 0);
  const long = (at: number) => (at + 4 <= bytes.length ? view.getUint32(at, isLittle) : 0);
  /** A whole number of 4 bytes, or of 8 in BigTIFF. */
  const isBig = short(2) === BIG;
  const word = (at: number) =>
    isBig ? long(at + (isLittle ? 0 : 4)) + 2 ** 32 * long(at + (isLittle ? 4 : 0)) : long(at);
  const directory = word(isBig ? 8 : 4);
  const [countBytes, entryBytes, valueAt] = isBig ? [8, 20, 12] : [2, 12, 8];
  const count = Math.min(isBig ? word(directory) : short(directory), MAX_TAGS);
  const values = new Map<number, number>();
  for (let index = 0; index < count; index++) {
    const entry = directory + countBytes + index * entryBytes;
    const isShort = short(entry + 2) === SHORT;
    const length = word(entry + 4);
    const fits = length * (isShort ? 2 : 4) <= entryBytes - valueAt;
    const at = fits ? entry + valueAt : word(entry + valueAt);
    values.set(short(entry), isShort ? short(at) : long(at));
  }
  return {
    bits: values.get(BITS) ?? 1,
    samples: values.get(SAMPLES) ?? 1,
    compression: values.get(COMPRESSION) ?? 1,
    photometric: values.get(PHOTOMETRIC),
  };
}
