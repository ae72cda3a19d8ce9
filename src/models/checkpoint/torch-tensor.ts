/** Makes tensors of the placeholders by which `torch.save` describes them: views of a storage, or copies where it is strided. */
import { InputError } from '../../base/errors.ts';
import { byteLength, DataType, elementCount } from '../../onnx/types.ts';
import type { StoredTensor } from './checkpoint.ts';
import { PERSISTENT, PickleGlobal, PickleObject, type PickleValue } from './pickle-values.ts';
import { stridedCopy } from './strided-copy.ts';

const STORAGES: Readonly<Record<string, DataType>> = {
  FloatStorage: DataType.FLOAT,
  DoubleStorage: DataType.DOUBLE,
  HalfStorage: DataType.FLOAT16,
  BFloat16Storage: DataType.BFLOAT16,
  LongStorage: DataType.INT64,
  IntStorage: DataType.INT32,
  ShortStorage: DataType.INT16,
  CharStorage: DataType.INT8,
  ByteStorage: DataType.UINT8,
  BoolStorage: DataType.BOOL,
};

/** The element types that PyTorch names in place of a storage's class. */
const ELEMENT_TYPES: Readonly<Record<string, DataType>> = {
  'torch.float32': DataType.FLOAT,
  'torch.float64': DataType.DOUBLE,
  'torch.float16': DataType.FLOAT16,
  'torch.bfloat16': DataType.BFLOAT16,
  'torch.int64': DataType.INT64,
  'torch.int32': DataType.INT32,
  'torch.int16': DataType.INT16,
  'torch.int8': DataType.INT8,
  'torch.uint8': DataType.UINT8,
  'torch.uint16': DataType.UINT16,
  'torch.uint32': DataType.UINT32,
  'torch.uint64': DataType.UINT64,
  'torch.bool': DataType.BOOL,
};

/** The bytes of an element in storages whose tensors are not read. */
const OTHER_SIZES: Readonly<Record<string, number>> = {
  ComplexFloatStorage: 8,
  ComplexDoubleStorage: 16,
  QInt8Storage: 1,
  QUInt8Storage: 1,
  QInt32Storage: 4,
  QUInt4x2Storage: 1,
  QUInt2x4Storage: 1,
  'storage.UntypedStorage': 1,
  UntypedStorage: 1,
};

/** Functions whose first arguments are the storage, the offset, the shape and the strides; the number says where the type is. */
const REBUILD: Readonly<Record<string, number | undefined>> = {
  'torch._utils._rebuild_tensor': undefined,
  'torch._utils._rebuild_tensor_v2': undefined,
  'torch._utils._rebuild_tensor_v3': 6,
};

/** Functions that wrap the tensor which is their first argument. */
const WRAPPERS = new Set(['torch._utils._rebuild_parameter', 'torch._utils._rebuild_parameter_with_state']);
/** The function that calls another one, and then gives the result a class: Python attributes were added to the tensor. */
const TYPED = 'torch._tensor._rebuild_from_type_v2';
const TENSOR_CLASSES = new Set([
  'torch.Tensor',
  'torch._tensor.Tensor',
  'torch.nn.parameter.Parameter',
  'torch.nn.parameter.Buffer',
]);

/** A parameter is wrapped at most a few times. */
const DEEPEST_WRAPPING = 8;

/** Copies of strided tensors may take this much more than the file has. */
const COPIES_BEYOND_FILE = 1 << 26;

/** The positions of the elements of storages. */
export interface Storages {
  /** The bytes of the storage that a persistent id describes; undefined if the file has none. */
  bytesOf(id: readonly PickleValue[]): Uint8Array<ArrayBuffer> | undefined;
}

/** Returns whether a value describes a tensor, readable or not. */
export function isTensor(value: PickleValue | undefined): value is PickleObject {
  return (
    value instanceof PickleObject && (/^torch\._(utils|tensor)\._rebuild_/.test(value.callee) || isReducedTensor(value))
  );
}

/** Tensors that are pickled without `torch.save`. */
const isReducedTensor = ({ callee }: PickleObject) =>
  callee === 'torch.storage._load_from_bytes' ||
  callee === 'numpy.core.multiarray._reconstruct' ||
  callee === 'numpy._core.multiarray._reconstruct';

/** Reads tensors of one file, with a bound on what is copied from it. */
export class TorchTensors {
  readonly #storages: Storages;
  #copyable: number;

  constructor(storages: Storages, fileBytes: number) {
    this.#storages = storages;
    this.#copyable = fileBytes + COPIES_BEYOND_FILE;
  }

  /**
   * The tensor that a placeholder describes.
   *
   * @param where names it in errors
   * @throws InputError if it is described by anything but PyTorch's own functions for dense tensors, or exceeds its storage
   */
  read(described: PickleObject, where: string): StoredTensor {
    const { callee, args } = unwrap(described, where);
    if (!Object.hasOwn(REBUILD, callee))
      throw new InputError(
        `${where} is made by ${callee.slice(0, 100)}, which dino8 does not run; save it as a dense tensor.`,
      );
    const [storage, offset, shape, strides] = args;
    const place = REBUILD[callee];
    const damaged = () => new InputError(`${where} is described in a way that torch.save does not use; refused.`);
    if (!(storage instanceof PickleObject) || storage.callee !== PERSISTENT) throw damaged();
    const type = place === undefined ? storageType(storage.args[1]) : elementType(args[place]);
    if (typeof type === 'string')
      throw new InputError(`${where} has elements of ${type.slice(0, 100)}, which dino8 does not read.`);
    if (
      type === undefined ||
      !isCount(offset) ||
      !isCounts(shape) ||
      !isCounts(strides) ||
      shape.length !== strides.length
    )
      throw damaged();
    const bytes = this.#storages.bytesOf(storage.args);
    const size = byteLength(type, 1) ?? 0;
    const count = elementCount(shape);
    if (!bytes || size === 0 || lastIndex(offset, shape, strides) * size > bytes.length)
      throw new InputError(`${where} [${shape.join(', ')}] needs more than its storage holds; the file is damaged.`);
    const start = offset * size;
    if (isContiguous(shape, strides)) return { type, shape, bytes: bytes.subarray(start, start + count * size) };
    this.#copyable -= count * size;
    if (!(this.#copyable >= 0))
      throw new InputError(`${where} [${shape.join(', ')}] repeats its elements beyond the size of the file; refused.`);
    return { type, shape, bytes: stridedCopy(bytes.subarray(start), size, shape, strides) };
  }
}

/** The call that makes the tensor itself, without what is wrapped around it. */
function unwrap(described: PickleObject, where: string): { callee: string; args: readonly PickleValue[] } {
  let { callee, args } = described;
  for (let depth = 0; depth < DEEPEST_WRAPPING; depth++) {
    const [first, second, third] = args;
    if (WRAPPERS.has(callee) && first instanceof PickleObject) ({ callee, args } = first);
    else if (callee !== TYPED) return { callee, args };
    else if (
      first instanceof PickleGlobal &&
      second instanceof PickleGlobal &&
      TENSOR_CLASSES.has(second.name) &&
      Array.isArray(third)
    )
      [callee, args] = [first.name, third];
    else
      throw new InputError(`${where} is of a class of its own, which dino8 does not run; save it as a plain tensor.`);
  }
  throw new InputError(`${where} contains itself; the file is damaged.`);
}

/** The bytes of an element of a storage's class; undefined for a class that PyTorch does not have. */
export function storageElementSize(value: PickleValue | undefined): number | undefined {
  const type = storageType(value);
  if (typeof type !== 'string') return type === undefined ? undefined : byteLength(type, 1);
  const name = type.replace(/^torch\.(cuda\.)?/, '');
  return Object.hasOwn(OTHER_SIZES, name) ? OTHER_SIZES[name] : undefined;
}

/** The type of a storage's class; the name of a class that dino8 does not read; undefined for what is no class. */
function storageType(value: PickleValue | undefined): DataType | string | undefined {
  if (!(value instanceof PickleGlobal)) return undefined;
  const name = value.name.match(/^torch\.(?:cuda\.)?(\w+)$/)?.[1] ?? '';
  return Object.hasOwn(STORAGES, name) ? STORAGES[name] : value.name;
}

/** As `storageType`, for the name of an element type. */
function elementType(value: PickleValue | undefined): DataType | string | undefined {
  if (!(value instanceof PickleGlobal)) return undefined;
  return Object.hasOwn(ELEMENT_TYPES, value.name) ? ELEMENT_TYPES[value.name] : value.name;
}

const isCount = (value: PickleValue | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isCounts = (value: PickleValue | undefined): value is number[] =>
  Array.isArray(value) && value.length <= 16 && value.every(isCount);

/** The number of elements of the storage up to the tensor's last one. */
function lastIndex(offset: number, shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return offset;
  return shape.reduce((index, size, axis) => index + (size - 1) * (strides[axis] ?? 0), offset + 1);
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 0;
    if (size > 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}
