/**
 * Decides before long work whether files may be written: their folders exist, no two of them are the same file, and none of them
 * is a file that the work reads, under whatever name, by a symbolic or a hard link, or in letters of another case.
 */
import { access, constants, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { UsageError } from './errors.ts';
import { fileError, isDirectory } from './files.ts';

/** An output at whose place there is a file already. */
interface Existing {
  readonly path: string;
  readonly real: string;
  readonly identity: string;
}

/** A file that exists: its identity and its kind. */
interface Found {
  /** The device and the number of the file, by which it is known under every name. */
  readonly identity: string;
  readonly isFolder: boolean;
  readonly isFile: boolean;
}

async function identify(path: string): Promise<Found | undefined> {
  const info = await stat(path, { bigint: true }).catch(() => undefined);
  return info && { identity: `${info.dev}:${info.ino}`, isFolder: info.isDirectory(), isFile: info.isFile() };
}

/** Options of `checkOutputs`. */
export interface CheckOutputsOptions {
  readonly makesFolders?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
}

/**
 * Checks the files that are to be written.
 *
 * @param outputs the files; undefined stands for one that is not asked for, and a path without a file extension for a folder,
 * which is made when it is written
 * @param inputs the files that are read, and folders of which every file but HTML pages counts as read; undefined and names of no
 * file count for nothing
 * @param makesFolders whether folders of outputs are made when these are written
 * @param overwrite whether an output may be an input
 * @throws UsageError if the folder of an output does not exist, if two outputs are one file, or if an output is an
 * input; InputError if there is no permission to write an output
 */
export async function checkOutputs(
  outputs: readonly (string | undefined)[],
  inputs: Iterable<string | undefined> | AsyncIterable<string | undefined> = [],
  { makesFolders = false, overwrite = false }: CheckOutputsOptions = {},
): Promise<void> {
  const existing = await checkPlaces(
    outputs.filter((path) => path !== undefined),
    makesFolders,
  );
  // Most often there is nothing at the place of an output. Then the inputs, of which there may be many, need no look.
  if (existing.length === 0 || overwrite) return;
  for await (const input of inputs) if (input !== undefined) await checkInput(input, existing);
}

/** Checks the outputs among themselves. @returns those that exist */
async function checkPlaces(outputs: readonly string[], makesFolders: boolean): Promise<Existing[]> {
  const existing: Existing[] = [];
  const places = new Map<string, { readonly path: string; readonly place: string }>();
  for (const path of outputs) {
    const folder = dirname(path);
    const hasFolder = await isDirectory(folder);
    if (extname(path) !== '' && !hasFolder && !makesFolders)
      throw new UsageError(`${path} cannot be written because its folder does not exist; create it first.`);
    const found = await identify(path);
    await checkWritable(path, found);
    // A device or a pipe takes any number of results, and holds no input.
    if (found && !found.isFolder && !found.isFile) continue;
    const place = found?.identity ?? join(hasFolder ? await realpath(folder) : resolve(folder), basename(path));
    const folded = place.normalize('NFC').toLowerCase();
    const other = places.get(folded);
    if (other && (other.place === place || (await ignoresCase(folder))))
      throw new UsageError(
        `Two results would be written to ${path}${other.path === path ? '' : `, which is ${other.path} too`}; name another place for one of them.`,
      );
    places.set(folded, { path, place });
    if (found && !found.isFolder) existing.push({ path, real: await realpath(path), identity: found.identity });
  }
  return existing;
}

/** Checks before the work that a result can be written: into the file that exists, or into the next folder that does. */
async function checkWritable(path: string, found: Found | undefined): Promise<void> {
  try {
    if (found) await access(path, constants.W_OK);
    if (found?.isFile === false && !found.isFolder) return;
    if (!found?.isFolder) await access(await nearestFolder(dirname(resolve(path))), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fileError('write', path, error);
  }
}

/** The folder itself, or the next one above it that exists. */
async function nearestFolder(folder: string): Promise<string> {
  for (let at = folder; ; at = dirname(at)) {
    const found = await identify(at);
    if (found?.isFolder) return at;
    if (found) throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });
    if (at === dirname(at)) return at;
  }
}

/** True if a folder, or the next one above it that exists, is found by its name in letters of the other case. */
async function ignoresCase(folder: string): Promise<boolean> {
  const full = resolve(folder);
  const name = basename(full);
  const swapped = name === name.toLowerCase() ? name.toUpperCase() : name.toLowerCase();
  if (name === '') return false;
  const found = await identify(full);
  if (!found || swapped === name) return ignoresCase(dirname(full));
  return (await identify(join(dirname(full), swapped)))?.identity === found.identity;
}

async function checkInput(input: string, existing: readonly Existing[]): Promise<void> {
  const found = await identify(input);
  if (!found) return;
  const inside = found.isFolder ? join(await realpath(input), sep) : undefined;
  for (const { path, real, identity } of existing) {
    if (identity === found.identity)
      throw new UsageError(
        `${path} would be written over ${input === path ? 'this input' : `the input ${input}`}; name another place for the result, or allow that with \`overwrite\`.`,
      );
    if (inside !== undefined && real.startsWith(inside) && extname(real) !== '.html')
      throw new UsageError(
        `${path} exists in the folder ${input}, which is an input, and would be written over; name another place for the result, or allow that with \`overwrite\`.`,
      );
  }
}
