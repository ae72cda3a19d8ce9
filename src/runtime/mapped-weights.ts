/**
 * Loading a model file whose large weights ONNX Runtime maps into memory, instead of in a copy.
 *
 * ONNX Runtime maps weights that a model keeps in another file (external data). Here a model is read without its large
 * weights and encoded again so that they are external data of the file itself, at the places where they are. The file is
 * read as protobuf fields (https://protobuf.dev/programming-guides/encoding), by many small reads that are too short to be
 * worth another thread.
 */
import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { fileError } from '../base/files.ts';
import { GRAPH_INITIALIZER, MODEL_GRAPH, TENSOR_RAW_DATA } from '../onnx/write.ts';

/** Field numbers in onnx.proto: the entries that say where the bytes of a tensor are, and whether they do. */
const TENSOR_EXTERNAL_DATA = 13;
const TENSOR_DATA_LOCATION = 14;
/** The value of the latter for bytes in another file. */
const EXTERNAL = 1;
/** Field numbers of an entry. */
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;

/** Smaller weights stay in the encoding: a mapping costs system calls, and it takes whole pages. */
const SMALLEST_MAPPED = 1 << 14;

/** ONNX Runtime refuses longer entries of a session's configuration. */
const LONGEST_FOLDER = 1024;

/** A message with more fields than any model has is left to ONNX Runtime, lest the list of them fill the memory. */
const MOST_FIELDS = 1 << 20;

/** The most bytes that are read ahead while fields are looked for. */
const WINDOW = 1 << 14;

/** The tag and the length of a field have at most ten bytes each. */
const LONGEST_HEADER = 20;

/** A model in the form in which ONNX Runtime maps its weights. */
export interface MappedModel {
  /** The encoding of the model without its large weights. */
  readonly bytes: Uint8Array;
  /** The folder of the file that has the weights. */
  readonly folder: string;
}

/** The bytes of a file from `start` up to `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** A field of a protobuf message with its tag; `content` is what a field with a length has behind its length. */
interface Field extends Range {
  readonly number: number;
  readonly content: Range | undefined;
}

/**
 * Returns the model of a file with its large weights as references into the file. Returns undefined if the file has no large
 * weights, if it has external data already, or if it is not well-formed, which ONNX Runtime reports when it loads the file.
 * @throws UsageError or InputError if the file cannot be read
 */
export function mapWeights(path: string): MappedModel | undefined {
  try {
    return openAndMap(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function openAndMap(path: string): MappedModel | undefined {
  // ONNX Runtime refuses external data behind a symbolic link that leads to another folder.
  const target = realpathSync(path);
  const folder = dirname(target);
  if (Buffer.byteLength(folder) > LONGEST_FOLDER) return undefined;
  const file = openSync(target, 'r');
  try {
    const bytes = withReferences(new Scanner(file), basename(target));
    return bytes && { bytes, folder };
  } finally {
    closeSync(file);
  }
}

/** Returns the encoding of a model whose large weights refer to the file `location`; undefined as `mapWeights`. */
function withReferences(scanner: Scanner, location: string): Uint8Array | undefined {
  const model = scanner.fields({ start: 0, end: scanner.size });
  const graphs = model?.filter(({ number }) => number === MODEL_GRAPH) ?? [];
  const content = graphs.length === 1 ? graphs[0]?.content : undefined;
  const parts = content && scanner.fields(content);
  if (!model || !parts) return undefined;
  const kept: Field[] = [];
  const references: Uint8Array[] = [];
  for (const part of parts) {
    const isLarge = part.number === GRAPH_INITIALIZER && part.end - part.start >= SMALLEST_MAPPED;
    const tensor = isLarge && part.content ? scanner.fields(part.content) : [];
    if (!tensor || tensor.some(({ number }) => number === TENSOR_DATA_LOCATION)) return undefined;
    const data = tensor.filter(({ number }) => number === TENSOR_RAW_DATA);
    const [{ content: bytes } = { content: undefined }] = data;
    // Elements may also be in the fields of their types, such as `float_data`; such a tensor stays as it is.
    if (data.length !== 1 || !bytes) kept.push(part);
    else {
      const reference = externalFields({ location, offset: bytes.start, length: bytes.end - bytes.start });
      const rest = scanner.read(tensor.filter(({ number }) => number !== TENSOR_RAW_DATA));
      references.push(...message(GRAPH_INITIALIZER, [...rest, reference]));
    }
  }
  if (references.length === 0) return undefined;
  const graph = message(MODEL_GRAPH, [...scanner.read(kept), ...references]);
  return Buffer.concat([...scanner.read(model.filter(({ number }) => number !== MODEL_GRAPH)), ...graph]);
}

/** Encodes the fields of a tensor that say where its bytes are. */
function externalFields(place: Readonly<Record<string, string | number>>): Uint8Array {
  const writer = new BinaryWriter();
  for (const [key, value] of Object.entries(place)) {
    writer.tag(TENSOR_EXTERNAL_DATA, WireType.LengthDelimited).fork();
    writer.tag(ENTRY_KEY, WireType.LengthDelimited).string(key);
    writer.tag(ENTRY_VALUE, WireType.LengthDelimited).string(String(value)).join();
  }
  return writer.tag(TENSOR_DATA_LOCATION, WireType.Varint).int32(EXTERNAL).finish();
}

/** Encodes a field whose content is a message, as pieces. */
function message(number: number, pieces: readonly Uint8Array[]): Uint8Array[] {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return [new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(length).finish(), ...pieces];
}

/** Finds the fields of protobuf messages in an open file, and reads some of them. */
class Scanner {
  readonly size: number;
  readonly #file: number;
  #window = new Uint8Array(0);
  #start = 0;

  constructor(file: number) {
    this.#file = file;
    this.size = fstatSync(file).size;
  }

  /** Returns the fields of a message, or undefined if it is not well-formed or has too many of them. */
  fields({ start, end }: Range): Field[] | undefined {
    const fields: Field[] = [];
    for (let position = start; position < end; ) {
      const field = this.#field(position, end);
      if (!field || fields.length === MOST_FIELDS) return undefined;
      fields.push(field);
      position = field.end;
    }
    return fields;
  }

  /** Reads fields of the file in their order; neighbours are read at once. */
  read(fields: readonly Range[]): Uint8Array[] {
    const ranges: Range[] = [];
    for (const { start, end } of fields) {
      const last = ranges.at(-1);
      if (last?.end === start) ranges[ranges.length - 1] = { start: last.start, end };
      else ranges.push({ start, end });
    }
    return ranges.map(({ start, end }) => this.#bytes(start, end - start));
  }

  #field(start: number, end: number): Field | undefined {
    const tag = this.#varint(start, end);
    if (!tag) return undefined;
    const number = Math.floor(tag.value / 8);
    const wireType: WireType = tag.value % 8; // other numbers are refused below
    const at = (fieldEnd: number, content?: Range): Field | undefined =>
      number > 0 && fieldEnd <= end ? { number, start, end: fieldEnd, content } : undefined;
    if (wireType === WireType.Bit64) return at(tag.end + 8);
    if (wireType === WireType.Bit32) return at(tag.end + 4);
    if (wireType !== WireType.Varint && wireType !== WireType.LengthDelimited) return undefined;
    const value = this.#varint(tag.end, end);
    if (!value) return undefined;
    if (wireType === WireType.Varint) return at(value.end);
    const content = { start: value.end, end: value.end + value.value };
    return at(content.end, content);
  }

  /** Returns the number that is encoded at `start`, and where it ends; undefined if it ends behind `end`. */
  #varint(start: number, end: number): { value: number; end: number } | undefined {
    const isHere = start >= this.#start && start + LONGEST_HEADER <= this.#start + this.#window.length;
    if (!isHere) {
      this.#window = this.#bytes(start, Math.min(WINDOW, this.size - start));
      this.#start = start;
    }
    let value = 0;
    for (let index = 0; index < 10 && start + index < end; index++) {
      const byte = this.#window[start - this.#start + index];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return { value, end: start + index + 1 };
    }
    return undefined;
  }

  /** Reads bytes of the file, or fewer if the file ends before. */
  #bytes(start: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(this.#file, bytes, 0, length, start));
  }
}
