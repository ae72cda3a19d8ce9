/** Reads archives of named arrays that `numpy.savez` or `numpy.savez_compressed` wrote: they hold a `.npy` file for each array. */
import { InputError } from '../base/errors.ts';
import type { Tensor } from '../runtime/tensor.ts';
import { parseNpy } from './npy.ts';
import { readZip } from './zip-entries.ts';

const LIMITS = { entries: 1024, bytes: 2 ** 31 };
const SUFFIX = '.npy';

/**
 * Reads the arrays of a `.npz` file, by name.
 *
 * @param source names the file in errors
 * @returns the arrays, each with the shape and the element type that NumPy stored
 * @throws InputError if the archive or an array is damaged, or if there are more than 1024 arrays or 2 GiB of elements
 */
export async function parseNpz(file: Uint8Array<ArrayBuffer>, source: string): Promise<Map<string, Tensor>> {
  const arrays = new Map<string, Tensor>();
  for (const [entry, bytes] of await readZip(file, source, LIMITS)) {
    if (!entry.endsWith(SUFFIX))
      throw new InputError(`${source} has the entry ${entry}, which is no array; save the archive with numpy.savez.`);
    const name = entry.slice(0, -SUFFIX.length);
    arrays.set(name, await parseNpy(bytes, `${source}, array ${name}`));
  }
  return arrays;
}
