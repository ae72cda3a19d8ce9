/** Recognises pictures and videos by their first bytes: names are often wrong, and pictures from the web often have none. */
import { extname } from 'node:path';
import { readStart } from '../base/files.ts';

/** The formats of pictures that are decoded. */
export type PictureFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'bmp' | 'avif';

/** The kind of a file: the format of a picture, HEIC (which is recognised and not decoded), or a video. */
export type FileKind = PictureFormat | 'heic' | 'video';

/** The formats that are decoded, in words. */
export const PICTURE_FORMATS = 'JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF';

/** The number of bytes from which the kind is known. */
const HEAD_BYTES = 400;

/** Signatures at the beginning of a file. A null stands for any byte. */
const SIGNATURES: readonly (readonly [FileKind, ...(number | string | null)[]])[] = [
  ['jpeg', 0xff, 0xd8, 0xff],
  ['png', 0x89, 'PNG\r\n'],
  ['gif', 'GIF8'],
  ['webp', 'RIFF', null, null, null, null, 'WEBP'],
  ['tiff', 'II*\0'],
  ['tiff', 'MM\0*'],
  ['tiff', 'II+\0'],
  ['tiff', 'MM\0+'],
  ['bmp', 'BM'],
  ['video', 0x1a, 0x45, 0xdf, 0xa3], // Matroska and WebM
  ['video', 'RIFF', null, null, null, null, 'AVI '],
  ['video', 'FLV', 1],
  ['video', 0, 0, 1, 0xba], // MPEG program stream
  ['video', 0, 0, 1, 0xb3], // MPEG video
  ['video', 0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], // Windows Media
  ['video', 'OggS'],
  ['video', null, null, null, null, 'moov'],
  ['video', null, null, null, null, 'mdat'],
];

/** Packets of an MPEG transport stream have this length and begin with this byte. */
const TRANSPORT_PACKET = 188;
const TRANSPORT_BYTE = 0x47;

/** The brands of the container that AVIF, HEIC and MP4 share. */
const AVIF_BRANDS = new Set(['avif', 'avis']);
const HEIC_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1']);

/** The kind of a file by its first bytes; undefined if it is none that dino8 knows. */
export function fileKind(head: Uint8Array): FileKind | undefined {
  const text = (start: number, length: number) => String.fromCharCode(...head.subarray(start, start + length));
  if (text(4, 4) === 'ftyp') {
    const brands = [text(8, 4)];
    // The compatible brands follow: an AVIF picture may state `mif1` as its main one.
    const length = Math.min(head.length, ((head[2] ?? 0) << 8) | (head[3] ?? 0));
    for (let at = 16; at + 4 <= length; at += 4) brands.push(text(at, 4));
    if (brands.some((brand) => AVIF_BRANDS.has(brand))) return 'avif';
    return brands.slice(0, 1).some((brand) => HEIC_BRANDS.has(brand)) ? 'heic' : 'video';
  }
  const found = SIGNATURES.find(([, ...parts]) => {
    const bytes = parts.flatMap((part) => (typeof part === 'string' ? [...Buffer.from(part, 'latin1')] : [part]));
    return bytes.every((byte, at) => (byte === null ? at < head.length : head[at] === byte));
  });
  if (found) return found[0];
  const isTransport = [0, 1, 2].every((packet) => head[packet * TRANSPORT_PACKET] === TRANSPORT_BYTE);
  return isTransport ? 'video' : undefined;
}

/** The first bytes of a file, from which its kind and the headers of a bitmap are known. @throws as `readStart` */
export const readHead = (path: string): Promise<Uint8Array> => readStart(path, HEAD_BYTES);

/** The kind of a file by its content; undefined if it is unknown or cannot be read. */
export const readFileKind = async (path: string): Promise<FileKind | undefined> => {
  const head = await readHead(path).catch(() => undefined);
  return head && fileKind(head);
};

/** The file extensions of pictures with the format that is written to a file of that name. HEIC cannot be written. */
const EXTENSIONS: Readonly<Record<string, PictureFormat | 'heic'>> = {
  '.jpg': 'jpeg',
  '.jpeg': 'jpeg',
  '.jpe': 'jpeg',
  '.jfif': 'jpeg',
  '.png': 'png',
  '.webp': 'webp',
  '.gif': 'gif',
  '.tif': 'tiff',
  '.tiff': 'tiff',
  '.bmp': 'bmp',
  '.dib': 'bmp',
  '.avif': 'avif',
  '.heic': 'heic',
  '.heif': 'heic',
};

/** The format that the name of a picture states; undefined if its extension is not that of a picture. */
export const formatOfName = (name: string): PictureFormat | 'heic' | undefined =>
  EXTENSIONS[extname(name).toLowerCase()];
