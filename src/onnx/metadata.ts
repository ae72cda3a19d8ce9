/** Texts that travel inside a model file. */
import { create } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema } from 'onnx-buf';
import type { ModelProto } from './types.ts';

export function getMetadata(model: ModelProto, key: string): string | undefined {
  return model.metadataProps.find((entry) => entry.key === key)?.value;
}

export function setMetadata(model: ModelProto, key: string, value: string): void {
  const others = model.metadataProps.filter((entry) => entry.key !== key);
  model.metadataProps = [...others, create(StringStringEntryProtoSchema, { key, value })];
}
