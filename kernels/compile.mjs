// Compiles C++ files for the scripts that build or test kernels.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Compiles files, as many at a time as there are processors.
 *
 * @param files for each of them its `path`, and `flags` of its own
 * @param folder for the objects; it is made, and should be new
 * @param flags those of all files, in front of a file's own
 * @returns the paths of the objects, in the order of the files
 * @throws what `execFile` does, with the messages of the compiler in `stderr`
 */
export async function compileAll(compiler, files, { folder, flags }) {
  mkdirSync(folder, { recursive: true });
  // Files of two folders may have the same name.
  const objectOf = (path, index) => join(folder, `${index}-${basename(path)}.o`);
  const commands = files.map(({ path, flags: own }, index) => [
    ...flags,
    ...own,
    '-c',
    path,
    '-o',
    objectOf(path, index),
  ]);
  const worker = async () => {
    for (let next = commands.pop(); next; next = commands.pop()) await run(compiler, next);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return files.map(({ path }, index) => objectOf(path, index));
}
