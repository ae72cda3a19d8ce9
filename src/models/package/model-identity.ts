/** What models are told apart by: their configuration, the weights that they were made from, and all that is in them. */
import { createHash } from 'node:crypto';
import { hashJson } from '../../base/hash-json.ts';
import { modelHash } from '../../onnx/hash.ts';
import { getMetadata, setMetadata } from '../../onnx/metadata.ts';
import type { Model } from '../../onnx/read.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { FILES } from './package-folder.ts';

/** The metadata by which a model says which weights it was made from. */
const WEIGHTS = 'dino8.weights';

/** The hashes of a model. */
export interface ModelIdentity {
  /**
   * The hash of the configuration and the tokenizer, which all models of one architecture have in common; undefined if the model
   * carries none.
   */
  readonly network?: string | undefined;
  /**
   * The hash of the weights of the checkpoint, which its float form and all quantized ones have in common; undefined if the
   * model does not say what it was made from.
   */
  readonly weights?: string | undefined;
  /** The hash of the model with all that it carries. */
  readonly modelHash: string;
}

/** The identity of a model. */
export function identifyModel(model: Model): ModelIdentity {
  return { ...identifyCheckpoint(model), modelHash: modelHash(model) };
}

/** What all models of one checkpoint have in common: the hash of the model itself is left out. */
export function identifyCheckpoint(model: Model): Omit<ModelIdentity, 'modelHash'> {
  return { network: configurationHash(model), weights: getMetadata(model, WEIGHTS) };
}

/**
 * A hash of the configuration and the tokenizer that a model carries, which its float form and all quantized ones have in common;
 * undefined if it carries none.
 */
function configurationHash(model: Model): string | undefined {
  const texts = [FILES.config[1], FILES.tokenizer[1]].map((key) => getMetadata(model, key));
  return texts[0] === undefined ? undefined : hashJson(texts);
}

/** The hash of the weights of a checkpoint: two fine-tunes have the same configuration, and differ in their weights only. */
export function hashWeights(tensors: Checkpoint): string {
  const hash = createHash('sha256');
  // Files list tensors in different orders.
  for (const [name, { type, shape, bytes }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(JSON.stringify([name, type, shape])).update(bytes);
  return hash.digest('hex');
}

/** Writes into a model that it was made from the weights with this hash. */
export function storeWeightsHash(model: Model, hash: string): void {
  setMetadata(model, WEIGHTS, hash);
}
