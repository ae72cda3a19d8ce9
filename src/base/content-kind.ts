/** Recognises files by their first bytes. Names say little: checkpoints are called .pth, .pt, .bin, .ckpt, or anything else. */

/** The kinds of files that may hold a checkpoint's weights. */
export type WeightsKind = 'zip' | 'pickle' | 'safetensors';

/** Files that people name by mistake, with what they are and what to do. */
const FOREIGN = {
  lfs: 'is a pointer of Git LFS in place of the file itself; run "git lfs pull" in its folder, or download the file',
  html: 'is a web page, such as a request to sign in, in place of the file; download it again',
  gzip: 'is compressed by gzip; unpack it first',
  bzip2: 'is compressed by bzip2; unpack it first',
  xz: 'is compressed by xz; unpack it first',
  zstd: 'is compressed by zstd; unpack it first',
  '7z': 'is a 7z archive; unpack it first',
  rar: 'is a RAR archive; unpack it first',
  tar: 'is a tar archive; unpack it first (if PyTorch before 0.2 wrote it, load it in PyTorch and save it again)',
  gguf: 'is in the GGUF format of llama.cpp, which dino8 does not read; use the original checkpoint',
  hdf5: 'is in HDF5, the format of Keras, which dino8 does not read; use the PyTorch checkpoint',
  tflite: 'is a TensorFlow Lite model, which dino8 does not read; use the PyTorch checkpoint',
  numpy: 'is one NumPy array, not a checkpoint',
  engine: 'is a TensorRT engine, which holds no weights that can be read; use the checkpoint that it was made from',
  pdf: 'is a PDF document, not a model',
  picture: 'is a picture, not a model',
  executable: 'is a program or a library, not a model',
} as const;

/** The kinds of files that hold no weights dino8 can read. */
type ForeignKind = keyof typeof FOREIGN;

/** The kind of a file: of weights, a recognised kind without weights, JSON, an empty file, or unknown, as ONNX files are. */
export type ContentKind = WeightsKind | ForeignKind | 'json' | 'empty' | 'unknown';

/** The number of bytes from which `contentKind` tells a kind. */
export const KIND_BYTES = 1024;

/** Bytes at a position, as Latin-1 text. */
const MAGIC: readonly (readonly [kind: ContentKind, at: number, text: string])[] = [
  ['zip', 0, 'PK\x03\x04'],
  ['zip', 0, 'PK\x05\x06'],
  ['gzip', 0, '\x1f\x8b'],
  ['bzip2', 0, 'BZh'],
  ['xz', 0, '\xfd7zXZ\0'],
  ['zstd', 0, '\x28\xb5\x2f\xfd'],
  ['7z', 0, '7z\xbc\xaf\x27\x1c'],
  ['rar', 0, 'Rar!\x1a\x07'],
  ['tar', 257, 'ustar'],
  ['gguf', 0, 'GGUF'],
  ['hdf5', 0, '\x89HDF\r\n\x1a\n'],
  ['tflite', 4, 'TFL3'],
  ['numpy', 0, '\x93NUMPY'],
  ['engine', 0, 'ptrt'],
  ['engine', 0, 'ftrt'],
  ['pdf', 0, '%PDF-'],
  ['picture', 0, '\x89PNG\r\n'],
  ['picture', 0, '\xff\xd8\xff'],
  ['picture', 0, 'GIF8'],
  ['picture', 8, 'WEBP'],
  ['executable', 0, '\x7fELF'],
];

/** The beginnings of text files, after white space. */
const TEXTS: readonly (readonly [ContentKind, RegExp])[] = [
  ['lfs', /^version https:\/\/git-lfs/],
  ['html', /^<(?:!doctype|html|head|body|\?xml)/i],
  ['json', /^(?:\{\s*["}]|\[\s*["{[\]\d])/],
];

/** Tells what a file is by its first bytes, `KIND_BYTES` of them if it has so many. */
export function contentKind(start: Uint8Array): ContentKind {
  if (start.length === 0) return 'empty';
  const bytes = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, KIND_BYTES));
  const found = MAGIC.find(([, at, text]) => bytes.toString('latin1', at, at + text.length) === text);
  if (found) return found[0];
  // A safetensors file begins with the length of its header, which is JSON.
  if (bytes.length > 8 && bytes.readBigUInt64LE(0) < 1n << 32n && bytes[8] === 0x7b && bytes[7] === 0)
    return 'safetensors';
  if (bytes[0] === 0x80 && (bytes[1] ?? 0) >= 2 && (bytes[1] ?? 0) <= 5) return 'pickle';
  const text = bytes.toString('latin1').replace(/^(?:\xef\xbb\xbf)?\s+/, '');
  return TEXTS.find(([, pattern]) => pattern.test(text))?.[0] ?? 'unknown';
}

/** Returns whether a file of this kind may hold weights. */
export function isWeightsKind(kind: ContentKind): kind is WeightsKind {
  return kind === 'zip' || kind === 'pickle' || kind === 'safetensors';
}

/** The predicate of a sentence that says what a file is and what to do; undefined for kinds that are read. */
export function foreignKind(kind: ContentKind): string | undefined {
  if (kind === 'empty') return 'is empty; download or save it again';
  return Object.hasOwn(FOREIGN, kind) ? FOREIGN[kind as ForeignKind] : undefined; // by the line before
}
