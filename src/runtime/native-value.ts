/** Tensors as ONNX Runtime holds them (OrtValue): made over memory of JavaScript's, described, viewed and released. */
import { viewAs } from '../onnx/tensor.ts';
import { byteLength, type DataType, type Dimension, elementCount } from '../onnx/types.ts';
import { ort, type Pointer, readString, viewMemory } from './native.ts';
import { type Tensor, tensorData } from './tensor.ts';

let cpuMemoryInfo: Pointer | undefined;

function cpuMemory(): Pointer {
  const ARENA = 1;
  const DEFAULT = 0;
  cpuMemoryInfo ??= ort().get('ONNX Runtime has no CPU memory', 'CreateCpuMemoryInfo', ARENA, DEFAULT);
  return cpuMemoryInfo;
}

/**
 * Returns an OrtValue over the memory of a tensor. The memory must stay referenced while ONNX Runtime may use it, and the
 * caller releases the value.
 *
 * @param model the name of the model, for the error message
 * @param key the name of the input, output or weight, for the error message
 * @throws RuntimeError if ONNX Runtime refuses the type or the shape
 */
export function shareTensor(model: string, key: string, value: Tensor): Pointer {
  const bytes = tensorData(value);
  const shape = BigInt64Array.from(value.shape, BigInt);
  return ort().get(
    `${model} refused the memory for ${key}`,
    'CreateTensorWithDataAsOrtValue',
    cpuMemory(),
    bytes,
    bytes.length,
    shape,
    shape.length,
    value.type,
  );
}

/** Calls `use` with OrtValues over the memory of `tensors`, in their order, and releases them afterwards. */
export async function withSharedTensors(
  tensors: ReadonlyMap<string, Tensor>,
  model: string,
  use: (values: BigUint64Array) => Promise<void>,
): Promise<void> {
  const values: Pointer[] = [];
  try {
    for (const [key, value] of tensors) values.push(shareTensor(model, key, value));
    await use(BigUint64Array.from(values));
  } finally {
    releaseValues(values);
  }
}

/** Releases OrtValues and empties the list, so that none is released twice. */
export function releaseValues(values: Pointer[]): void {
  for (const value of values.splice(0)) ort().call('ReleaseValue', value);
}

/**
 * Returns an OrtValue as a tensor over ONNX Runtime's memory, and that memory.
 * @throws RuntimeError if the value is not a tensor
 */
export function viewTensor(name: string, value: Pointer): { tensor: Tensor; memory: ArrayBuffer } {
  const { type, shape } = describeValue(value);
  const dimensions = shape.map(Number);
  const bytes = byteLength(type, elementCount(dimensions)) ?? 0;
  const address = ort().get(`The output ${name} is not a tensor`, 'GetTensorMutableData', value);
  const memory = bytes > 0 ? viewMemory(address, bytes) : new ArrayBuffer(0);
  return { tensor: { type, shape: dimensions, data: viewAs(type, new Uint8Array(memory)) }, memory };
}

function describeValue(value: Pointer): { type: DataType; shape: Dimension[] } {
  const info = ort().get('An output is not a tensor', 'GetTensorTypeAndShape', value);
  try {
    return readTypeAndShape(info);
  } finally {
    ort().call('ReleaseTensorTypeAndShapeInfo', info);
  }
}

/** Reads the type and the shape that an OrtTensorTypeAndShapeInfo describes. */
export function readTypeAndShape(info: Pointer): { type: DataType; shape: Dimension[] } {
  const context = 'ONNX Runtime could not describe a tensor';
  const type = new Int32Array(1);
  const rank = new BigUint64Array(1);
  ort().do(context, 'GetTensorElementType', info, type);
  ort().do(context, 'GetDimensionsCount', info, rank);
  const dimensions = new BigInt64Array(Number(rank[0]));
  if (dimensions.length > 0) ort().do(context, 'GetDimensions', info, dimensions, dimensions.length);
  const symbols = new BigUint64Array(dimensions.length);
  if (dimensions.length > 0) ort().do(context, 'GetSymbolicDimensions', info, symbols, symbols.length);
  const shape = Array.from(dimensions, (dimension, axis): Dimension => {
    if (dimension >= 0n) return Number(dimension);
    return readString(symbols[axis] ?? 0n) || undefined;
  });
  return { type: (type[0] ?? 0) as DataType, shape }; // ONNX Runtime's numbers are those of the file format
}
