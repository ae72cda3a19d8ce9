/** The identity of a model. */
import { createHash } from 'node:crypto';
import type { Model } from './read.ts';
import { encodeModel } from './write.ts';

/** The SHA-256 hash of a model's encoding, weights and metadata included, in hexadecimal. */
export function modelHash(model: Model): string {
  const hash = createHash('sha256');
  for (const piece of encodeModel(model)) hash.update(piece);
  return hash.digest('hex');
}
