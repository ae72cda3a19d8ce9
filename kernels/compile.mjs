// Compiles C++ files for the scripts that build or test kernels.
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Compiles files, as many at a time as there are processors. After an error no further file is begun, and those that are under way are
 * waited for.
 *
 * @param files for each of them its `path`, and `flags` of its own
 * @param options `folder`, which is for the objects and is made if need be, and `flags`, those of all files
 * @returns the paths of the objects, in the order of the files
 * @throws what `execFile` does for the first file that fails, with the messages of the compiler in `stderr`
 */
export async function compileAll(compiler, files, { folder, flags }) {
  mkdirSync(folder, { recursive: true });
  // Files of two folders may have the same name.
  const objects = files.map(({ path }, index) => join(folder, `${index}-${basename(path)}.o`));
  const waiting = [...files.entries()];
  const errors = [];
  const worker = async () => {
    for (let next = waiting.pop(); next && errors.length === 0; next = waiting.pop()) {
      const [index, { path, flags: own }] = next;
      await run(compiler, [...flags, ...own, '-c', path, '-o', objects[index]]).catch((error) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (errors.length > 0) throw errors[0];
  return objects;
}
