/** Finds pictures by files, folders and patterns. */
import { type Dirent, readdir } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { systemCode, UsageError } from '../base/errors.ts';
import { entriesOf, exists, fileError, isDirectory, isUrl, missingFile } from '../base/files.ts';
import { type FileKind, formatOfName, readFileKind } from './file-kind.ts';

/** Options of `findImages`. */
export interface FindImagesOptions {
  /** Takes the pictures in the subfolders of folders too. */
  readonly recursive?: boolean | undefined;
  /** Takes videos that patterns match too. Videos in a folder are taken only where they are named. */
  readonly videos?: boolean | undefined;
}

/** True for the name of a file that is a picture by its ending. */
export const isPictureName = (name: string): boolean => formatOfName(name) !== undefined;

/**
 * The paths that `names` stand for: files as they are, the pictures of folders, and the files that patterns such as
 * `photos/**` or `photos/[ab]?.jpg` match and that are pictures. A name that exists is a file or a folder, whatever it looks
 * like. Pictures of a folder or pattern are in natural order (`2.jpg` before `10.jpg`), and no path occurs twice. A file counts
 * as a picture by its ending or its content; names that begin with a period are left out.
 * @throws UsageError if a name stands for no picture, or is a URL
 */
export async function findImages(names: readonly string[], options: FindImagesOptions = {}): Promise<string[]> {
  const found = new Map<string, string>();
  for (const name of names) for (const path of await expand(name, options)) found.set(resolve(path), path);
  return [...found.values()];
}

async function expand(name: string, { recursive = false, videos = false }: FindImagesOptions): Promise<string[]> {
  if (await isDirectory(name)) return ofFolder(name, recursive);
  if (await exists(name)) return [name];
  if (isUrl(name) || !isDynamicPattern(name)) throw missingFile(name);
  checkPattern(name);
  const matches = await filesMatching(name);
  if (matches.length === 0) throw new UsageError(`${name} matches no file; check the pattern.`);
  const found = await picturesAmong(matches, videos);
  if (found.length === 0) throw new UsageError(`${name} matches files of which none is a picture; check the pattern.`);
  return found;
}

/**
 * The number of `**` in a pattern, of `*` in a part of it, of groups such as `?(a)` and `@(a|b)`, and of lists such as `{a,b}`: the
 * time grows exponentially with them.
 */
const MOST_WILDCARDS = 4;

/** @throws UsageError if looking for a pattern could take for ever */
function checkPattern(pattern: string): void {
  const parts = pattern.split(/[\\/]/);
  const deep = parts.filter((part) => part.includes('**')).length;
  const wide = Math.max(...parts.map((part) => part.replaceAll('**', '').split('*').length - 1));
  const groups = pattern.split('(').length - 1;
  const lists = pattern.split('{').length - 1;
  // A repeated group in a repeated group, such as +(+(a)), takes exponential time by itself.
  const isNested = /\([^)]*\(|\)\+/.test(pattern);
  if (isNested || Math.max(deep, wide, groups, lists) > MOST_WILDCARDS)
    throw new UsageError(
      `${pattern} has more wildcards than can be looked for, at most ${MOST_WILDCARDS} of **, of * in a part, of (…) and of {…}, and no (…) in another; name the folders, or give several patterns.`,
    );
}

async function ofFolder(folder: string, recursive: boolean): Promise<string[]> {
  const files = recursive
    ? await filesBelow(folder, '**')
    : (await entriesOf(folder))
        .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
        .map((entry) => entry.name);
  const paths = inNaturalOrder(files).map((name) => join(folder, name));
  const found = await picturesAmong(paths, false);
  if (found.length > 0) return found;
  const hint = recursive ? '' : `; its subfolders are read by the pattern "${join(folder, '**')}"`;
  throw new UsageError(`${folder} holds no pictures${hint}.`);
}

/** The files that a pattern matches in a folder. What is in a folder that cannot be read would be missing without a word. */
async function filesBelow(folder: string, pattern: string): Promise<string[]> {
  let unreadable: { readonly path: string; readonly error: unknown } | undefined;
  const listing: typeof listEntries = (path, options, done) =>
    listEntries(path, options, (error, entries) => {
      if (error && systemCode(error) !== 'ENOENT') unreadable ??= { path, error };
      done(error, entries);
    });
  // The library calls the function with these three arguments alone.
  const fs = { readdir: listing as typeof readdir };
  const found = await glob(pattern, { cwd: folder, expandDirectories: false, fs });
  if (unreadable) throw fileError('read', unreadable.path, unreadable.error);
  return found;
}

/** The function that lists folders, in the form in which it is called. */
const listEntries: (
  path: string,
  options: { withFileTypes: true },
  done: (error: NodeJS.ErrnoException | null, entries: Dirent[]) => void,
) => void = readdir;

/** The files that a pattern matches. Folders in front of it that exist are taken by their names, whatever is in these. */
async function filesMatching(pattern: string): Promise<string[]> {
  const parts = (sep === '\\' ? pattern.replaceAll('\\', '/') : pattern).split('/');
  let folder = parts[0] === '' ? '/' : '';
  const rest = parts.filter((part, index) => index > 0 || part !== '');
  while (rest.length > 1 && (await isDirectory(join(folder, rest[0] ?? '')))) folder = join(folder, rest.shift() ?? '');
  const matches = await filesBelow(folder || '.', rest.join('/'));
  return inNaturalOrder(matches).map((name) => join(folder, name));
}

/** The files that are pictures by their ending or content, and videos if they are wanted. */
async function picturesAmong(paths: readonly string[], videos: boolean): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const kind: FileKind | undefined = formatOfName(path) ?? (await readFileKind(path));
    if (kind !== undefined && (videos || kind !== 'video')) found.push(path);
  }
  return found;
}

const { compare } = new Intl.Collator('en', { numeric: true });

/** Sorts paths folder by folder, with numbers in names by their value; names that are equal so far by their characters. */
function inNaturalOrder(paths: readonly string[]): string[] {
  const split = paths.map((path) => ({ path, parts: path.split(/[\\/]/) }));
  split.sort((a, b) => {
    for (const [index, part] of a.parts.entries()) {
      const order = compare(part, b.parts[index] ?? '');
      if (order !== 0) return order;
    }
    return a.parts.length - b.parts.length || (a.path < b.path ? -1 : 1);
  });
  return split.map(({ path }) => path);
}
