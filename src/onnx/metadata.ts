/** The metadata of a model: texts that travel inside the file, by key. */
import { create } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema } from 'onnx-buf';
import type { ModelProto } from './types.ts';

/** The text under `key`; undefined if there is none. */
export function getMetadata(model: ModelProto, key: string): string | undefined {
  return model.metadataProps.find((entry) => entry.key === key)?.value;
}

/** Sets the text under `key`, replacing the one that is there. */
export function setMetadata(model: ModelProto, key: string, value: string): void {
  const others = model.metadataProps.filter((entry) => entry.key !== key);
  model.metadataProps = [...others, create(StringStringEntryProtoSchema, { key, value })];
}
