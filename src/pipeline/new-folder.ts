/** The folder of an export, whose files belong together. */
import { UsageError } from '../base/errors.ts';
import { exists, isDirectory, namesIn } from '../base/files.ts';

/**
 * Files of a former export would be taken for those of this one.
 * @param purpose what the folder is for, such as "bundle"
 * @throws UsageError if the folder is not a new or an empty one
 */
export async function checkNewFolder(output: string, purpose: string): Promise<void> {
  if (!(await exists(output))) return;
  if (!(await isDirectory(output)))
    throw new UsageError(`${output} is a file where a folder is needed; name another folder for the ${purpose}.`);
  if ((await namesIn(output)).length > 0)
    throw new UsageError(
      `${output} already holds files, which would be taken for parts of the ${purpose}; name a new folder, or empty it.`,
    );
}
