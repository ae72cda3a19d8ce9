/** Hashes of files by their content: a file that was replaced under the same name is another one. */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { withRegularFile } from './files.ts';
import type { WorkOptions } from './progress.ts';

/** The hash of a file's content, which is read piece by piece. @throws UsageError or InputError if it cannot be read */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await withRegularFile(path, (file) => pipeline(file.createReadStream({ autoClose: false }), hash));
  return hash.digest('hex');
}

/**
 * The hash of the contents of files, in their order. A file that cannot be read counts as such: who needs it will say so.
 * @param label the work in reports of progress
 */
export async function hashFiles(
  paths: readonly string[],
  { onProgress, signal }: WorkOptions,
  label = 'Identifying images',
): Promise<string> {
  const hash = createHash('sha256');
  for (const [done, path] of paths.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ label, done, total: paths.length });
    hash.update(await hashFile(path).catch(() => 'unreadable'));
  }
  if (paths.length > 0) onProgress?.({ label, done: paths.length, total: paths.length });
  return hash.digest('hex');
}
