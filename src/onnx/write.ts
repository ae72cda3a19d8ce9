/**
 * Writes ONNX files without a second copy of the weights in memory: the message is encoded without its initializers, and the
 * bytes of each initializer are written from where they are.
 *
 * Protobuf allows the fields of a message in any order (https://protobuf.dev/programming-guides/encoding/#order), so
 * a message may be written as the concatenation of the encodings of its parts.
 */

import { basename, dirname, join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from 'onnx-buf';
import { writeAtomic } from '../base/files.ts';
import { writeFolder } from '../base/write-folder.ts';
import { checkModelArgument } from './check-model.ts';
import type { Model } from './read.ts';
import { isExternal } from './tensor.ts';
import type { TensorProto } from './types.ts';

/** Field numbers in onnx.proto. */
export const MODEL_GRAPH = 7;
export const GRAPH_INITIALIZER = 5;
export const TENSOR_RAW_DATA = 9;

/** A protobuf message cannot be larger than 2 GiB; the weights of larger models are written to an external file. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 2 ** 20;
/** External tensors start at multiples of a page, so that a runtime can map them into memory. */
const ALIGNMENT = 4096;
/** Smaller initializers stay in the model, since ONNX Runtime needs shapes and scalars there for constant folding. */
const MIN_EXTERNAL_BYTES = 1024;

/** Options of `writeModel`. */
export interface WriteOptions {
  /** Writes the weights to `<model>.data` beside the model. By default only if the model would exceed 2 GiB. */
  readonly externalData?: boolean;
}

/**
 * Writes a model so that the file appears whole or not at all, together with its external data.
 * @param path the file to write; external data is written to `<path>.data`
 * @throws UsageError or InputError if the file cannot be written
 * @example
 * await writeModel(model, 'copy.onnx');
 */
export async function writeModel(model: Model, path: string, options: WriteOptions = {}): Promise<void> {
  checkModelArgument(model);
  const name = basename(path);
  const files = modelFiles(model, name, options);
  if (files.size > 1) return writeFolder(dirname(path), files, [name]);
  for (const content of files.values()) await writeAtomic(path, content);
}

/** The files of a model at `path`, by their paths: the model itself comes last, after its external data. */
export function modelFiles(model: Model, path: string, options: WriteOptions = {}): Map<string, Uint8Array[]> {
  const pieces = encodeModel(model);
  const external = options.externalData ?? totalLength(pieces) > MAX_MESSAGE_BYTES;
  if (!external) return new Map([[path, pieces]]);
  const location = `${basename(path)}.data`;
  const { initializers, data } = moveOut(model.graph.initializer, location);
  return new Map([
    [join(dirname(path), location), data],
    [path, encodeModel(model, initializers)],
  ]);
}

/** The encoding of a model as a list of pieces whose concatenation is the file. The weights are views, not copies. */
export function encodeModel(
  model: Model,
  initializers: readonly TensorProto[] = model.graph.initializer,
): Uint8Array[] {
  const { graph, ...rest } = model;
  const tensors = initializers.flatMap(encodeInitializer);
  const body = toBinary(GraphProtoSchema, { ...graph, initializer: [] });
  const length = body.length + totalLength(tensors);
  return [
    toBinary(ModelProtoSchema, rest),
    new BinaryWriter().tag(MODEL_GRAPH, WireType.LengthDelimited).uint32(length).finish(),
    body,
    ...tensors,
  ];
}

/**
 * Encodes a model in one buffer, for runtimes that load models from memory.
 * @example
 * await using session = await Session.create(modelBytes(model));
 */
export function modelBytes(model: Model): Uint8Array<ArrayBuffer> {
  checkModelArgument(model);
  const pieces = encodeModel(model);
  const bytes = new Uint8Array(totalLength(pieces));
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

function encodeInitializer(tensor: TensorProto): Uint8Array[] {
  const { rawData: raw, ...rest } = tensor;
  const pieces =
    raw.length === 0
      ? [toBinary(TensorProtoSchema, tensor)]
      : [
          toBinary(TensorProtoSchema, rest as TensorProto), // raw_data is optional on the wire, and follows
          new BinaryWriter().tag(TENSOR_RAW_DATA, WireType.LengthDelimited).uint32(raw.length).finish(),
          raw,
        ];
  const length = totalLength(pieces);
  return [new BinaryWriter().tag(GRAPH_INITIALIZER, WireType.LengthDelimited).uint32(length).finish(), ...pieces];
}

/** Copies of the initializers that refer to a data file, and the pieces of that file. */
function moveOut(initializers: readonly TensorProto[], location: string) {
  const data: Uint8Array[] = [];
  let offset = 0;
  const moved = initializers.map((tensor) => {
    const { rawData: raw } = tensor;
    if (isExternal(tensor) || raw.length < MIN_EXTERNAL_BYTES) return tensor;
    const padding = (ALIGNMENT - (offset % ALIGNMENT)) % ALIGNMENT;
    data.push(new Uint8Array(padding), raw);
    const start = offset + padding;
    offset = start + raw.length;
    const where = { location, offset: start, length: raw.length };
    const externalData = Object.entries(where).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value: String(value) }),
    );
    const { rawData: _, $typeName: __, ...rest } = tensor;
    const reference = create(TensorProtoSchema, rest);
    reference.externalData = externalData;
    reference.dataLocation = TensorProto_DataLocation.EXTERNAL;
    return reference;
  });
  return { initializers: moved, data };
}

function totalLength(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}
