/** The identity of an input file: its name and its content. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { READ_WITHOUT_WAITING } from '../../base/files.ts';

const PIECE = 1 << 20;

/**
 * A file's name and the hash of its content, which tell whether two lists of files are the same inputs. A file that cannot be read
 * is known by its name: whoever reads its data says what is wrong.
 */
export function fileIdentity(path: string): string {
  const hash = createHash('sha256');
  const piece = new Uint8Array(PIECE);
  let file: number | undefined;
  try {
    file = openSync(path, READ_WITHOUT_WAITING);
    if (!fstatSync(file).isFile()) return `${basename(path)}\n`;
    for (let bytes = readSync(file, piece); bytes > 0; bytes = readSync(file, piece))
      hash.update(piece.subarray(0, bytes));
  } catch {
    return `${basename(path)}\n`;
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return `${basename(path)} ${hash.digest('hex')}\n`;
}
