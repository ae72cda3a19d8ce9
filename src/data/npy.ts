/**
 * Reads arrays in NumPy's file format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): a magic
 * number, the length of a header, the header as the text of a Python dictionary, and the elements. Every length is
 * checked before it is used, and arrays of Python objects, which are pickles, are refused.
 */
import { InputError } from '../base/errors.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { viewAs } from '../onnx/tensor.ts';
import { byteLength, DataType, elementCount } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { copyTensor, type Tensor, tensor } from '../runtime/tensor.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // "\x93NUMPY"
/** The maximum length of a header, which describes one element type and one shape and takes about a hundred bytes. */
const MAXIMUM_HEADER = 1 << 16;
/** The maximum number of dimensions. NumPy 2 allows 64, and models have far fewer. */
const MAXIMUM_DIMENSIONS = 32;

/** NumPy's names of element types, without the byte order. Texts, dates, structures and objects are left out. */
const TYPES: Readonly<Record<string, DataType>> = {
  f8: DataType.DOUBLE,
  f4: DataType.FLOAT,
  f2: DataType.FLOAT16,
  i8: DataType.INT64,
  i4: DataType.INT32,
  i2: DataType.INT16,
  i1: DataType.INT8,
  u8: DataType.UINT64,
  u4: DataType.UINT32,
  u2: DataType.UINT16,
  u1: DataType.UINT8,
  b1: DataType.BOOL,
};

/**
 * Reads one array from the bytes of a `.npy` file. Elements in row-major order are a view of `bytes`; an array in
 * column-major (Fortran) order is transposed.
 *
 * @param source names the file in errors
 * @returns the array in row-major order, with the shape that the file states
 * @throws InputError if the file is damaged, or if its element type or byte order is not supported
 */
export async function parseNpy(bytes: Uint8Array<ArrayBuffer>, source: string): Promise<Tensor> {
  const { text, start } = readHeader(bytes, source);
  const { type, shape, isColumnMajor } = parseHeader(text, source);
  const needed = byteLength(type, elementCount(shape)) ?? 0;
  const present = bytes.length - start;
  if (present !== needed)
    throw new InputError(
      `${source} holds ${present} bytes of elements where its shape [${shape.join(', ')}] needs ${needed}; the file is damaged.`,
    );
  const data = viewAs(type, bytes.subarray(start));
  if (!isColumnMajor || shape.length < 2) return tensor(data, shape, type);
  return transpose(tensor(data, shape.toReversed(), type));
}

function readHeader(bytes: Uint8Array<ArrayBuffer>, source: string): { text: string; start: number } {
  if (bytes.length < 10 || MAGIC.some((byte, index) => bytes[index] !== byte))
    throw new InputError(`${source} is not a NumPy array: it does not begin with NumPy's magic number.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const major = bytes[6] ?? 0;
  if (major < 1 || major > 3 || (major > 1 && bytes.length < 12))
    throw new InputError(`${source} has version ${major} of NumPy's format; versions 1 to 3 are supported.`);
  const prefix = major === 1 ? 10 : 12;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > Math.min(MAXIMUM_HEADER, bytes.length - prefix))
    throw new InputError(`${source} claims a header of ${length} bytes, which does not fit; the file is damaged.`);
  const start = prefix + length;
  return { text: new TextDecoder().decode(bytes.subarray(prefix, start)), start };
}

/** The three keys of the dictionary, each in the form in which NumPy writes it. */
const DESCRIPTION = /'descr':\s*'([<>|=]?)([a-zA-Z]\d*)'/;
const ORDER = /'fortran_order':\s*(True|False)/;
const SHAPE = /'shape':\s*\(([\d\s,]*)\)/;

function parseHeader(text: string, source: string) {
  const order = ORDER.exec(text)?.[1];
  const [, byteOrder = '', name = ''] = DESCRIPTION.exec(text) ?? [];
  const list = SHAPE.exec(text)?.[1];
  if (order === undefined || list === undefined)
    throw new InputError(`${source} has a header without an order or a shape; the file is damaged.`);
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type === undefined)
    throw new InputError(
      `${source} holds elements that are not plain numbers (objects, texts, structures or complex numbers); save a numeric array.`,
    );
  if (byteOrder === '>' && (byteLength(type, 1) ?? 0) > 1)
    throw new InputError(`${source} is big-endian; save it with the byte order of x64 and ARM (little-endian).`);
  const shape = list
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .map(Number);
  const isPossible = shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0);
  if (!isPossible || !Number.isSafeInteger(elementCount(shape)) || shape.length > MAXIMUM_DIMENSIONS)
    throw new InputError(`${source} has the impossible shape (${list.trim()}); the file is damaged.`);
  return { type, shape, isColumnMajor: order === 'True' };
}

/** Reverses the order of all dimensions; ONNX Runtime moves the elements. */
async function transpose(value: Tensor): Promise<Tensor> {
  if (value.data.length === 0) return { ...value, shape: value.shape.toReversed() };
  const b = new GraphBuilder('transpose');
  const x = b.input('x', value.type, value.shape);
  const axes = value.shape.map((_, axis) => axis);
  b.output('y', b.transpose(x, axes.toReversed()));
  await using session = await Session.create(modelBytes(b.finish()), { threads: 1 }, 'the transposition of an array');
  using outputs = await session.run({ x: value });
  return copyTensor(outputs.get('y'));
}
