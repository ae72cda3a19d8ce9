/** Files of labels are read where their data set is: a link in the folder of a stranger could lead to any file. */
import { realpath } from 'node:fs/promises';
import { InputError } from '../../base/errors.ts';
import { isWithin } from './picture-finder.ts';

/**
 * The path of a file of labels that was found in a folder.
 * @throws InputError if it is a link that leads out of the folder
 */
export async function labelFile(path: string, folder: string): Promise<string> {
  const [real, root] = await Promise.all([path, folder].map((each) => realpath(each).catch(() => undefined)));
  // A file that does not exist is reported when it is read.
  if (real === undefined || root === undefined || isWithin(real, root)) return path;
  throw new InputError(`${path} is a link that leads out of ${folder}; refused. Put the file itself there.`);
}
