// Compiles C++ files for the scripts of this folder.
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Compiles files, as many at a time as there are processors.
 *
 * @param files for each of them its `path`, its `flags` and the path of its `object`
 * @throws what `execFile` does, with the messages of the compiler in `stderr`
 */
export async function compileAll(compiler, files) {
  const waiting = [...files];
  const worker = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop())
      await run(compiler, [...next.flags, '-c', next.path, '-o', next.object]);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}
