/** A data set of pictures without labels, for work that needs none. */

import { basename, dirname, relative } from 'node:path';
import { checkPath, checkValue, listOf, text } from '../../base/check-options.ts';
import { isDirectory } from '../../base/files.ts';
import type { CocoDataset } from '../coco.ts';
import { findImages } from '../find-images.ts';

const phrasesSchema = listOf('a list of texts', text);

/**
 * The pictures of a folder, a pattern or a file, with phrases as the categories.
 * @throws UsageError if there are no pictures
 * @example
 * const dataset = await picturesOnly('photos/', ['forklift', 'hard hat']);
 */
export async function picturesOnly(path: string, phrases: readonly string[]): Promise<CocoDataset> {
  checkPath(path);
  checkValue('The phrases', phrasesSchema, phrases);
  const root = (await isDirectory(path)) ? path : dirname(path);
  const paths = await findImages([path]);
  return {
    images: paths.map((each, index) => ({
      id: index + 1,
      file_name: relative(root, each) || basename(each),
      width: 0,
      height: 0,
    })),
    annotations: [],
    categories: phrases.map((name, index) => ({ id: index + 1, name })),
    pathOf: ({ id, file_name }) => paths[id - 1] ?? file_name,
    source: path,
  };
}
