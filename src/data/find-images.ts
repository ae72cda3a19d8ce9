/** Finds images by files, folders and patterns. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UsageError } from '../base/errors.ts';
import { exists, isDirectory } from '../base/files.ts';
import { matchesWildcard } from '../base/wildcard.ts';
import { formatOfName, PICTURE_FORMATS } from './file-kind.ts';

/** True for the name of a file that is a picture by its ending. */
export const isPictureName = (name: string): boolean => formatOfName(name) !== undefined;

/**
 * The paths of the images that `names` stand for: files, folders (without their subfolders), and patterns with `*` in the
 * name of the file. Images of a folder or pattern are sorted by name, and no path occurs twice.
 * @throws UsageError if a name stands for no image
 */
export async function findImages(names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) {
    const paths = await expand(name);
    if (paths.length === 0)
      throw new UsageError(
        `${name} names no images; give ${PICTURE_FORMATS} files, folders of them, or a pattern such as "photos/*.jpg".`,
      );
    found.push(...paths);
  }
  return [...new Set(found)];
}

async function expand(name: string): Promise<string[]> {
  if (await isDirectory(name)) return imagesIn(name, () => true);
  if ((await exists(name)) || !name.includes('*')) return [name];
  const folder = dirname(name);
  if (folder.includes('*')) throw new UsageError(`${name} has a * in a folder; only file names may have one.`);
  return (await isDirectory(folder)) ? imagesIn(folder, (file) => matchesWildcard(basename(name), file)) : [];
}

async function imagesIn(folder: string, accept: (name: string) => boolean): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => isPictureName(name) && accept(name));
  return names.sort().map((name) => join(folder, name));
}
