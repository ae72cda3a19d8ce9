/** Hashes of plain values, for keys of journals and caches. */
import { createHash } from 'node:crypto';

/** The SHA-256 hash of the JSON text of a value, in hexadecimal. Objects with another order of fields have another hash. */
export const hashJson = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');
