/** What identifies a model: the hash of its encoding. */
import { createHash } from 'node:crypto';
import type { Model } from './read.ts';
import { encodeModel } from './write.ts';

export function modelHash(model: Model): string {
  const hash = createHash('sha256');
  for (const piece of encodeModel(model)) hash.update(piece);
  return hash.digest('hex');
}
