/** The metadata of a model: texts that travel inside the file, by key. */

import { create } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema } from 'onnx-buf';
import { checkFields } from '../base/check-options.ts';
import type { ModelProto } from './types.ts';

/**
 * Returns the text that a model's metadata has under `key`; undefined if there is none.
 * @example
 * const configuration = getMetadata(model, 'config.json');
 */
export function getMetadata(model: ModelProto, key: string): string | undefined {
  checkFields('The model must be one that was read or built', model, 'metadataProps');
  return model.metadataProps.find((entry) => entry.key === key)?.value;
}

/**
 * Sets the text that a model's metadata has under `key`, replacing the one that is there.
 * @example
 * setMetadata(model, 'licence', 'Apache-2.0');
 */
export function setMetadata(model: ModelProto, key: string, value: string): void {
  checkFields('The model must be one that was read or built', model, 'metadataProps');
  const others = model.metadataProps.filter((entry) => entry.key !== key);
  model.metadataProps = [...others, create(StringStringEntryProtoSchema, { key, value })];
}

/** Removes the text that a model's metadata has under `key`. */
export function removeMetadata(model: ModelProto, key: string): void {
  model.metadataProps = model.metadataProps.filter((entry) => entry.key !== key);
}
