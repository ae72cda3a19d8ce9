/**
 * Finds the pictures that annotations name. Tools write names with folders of another machine, backslashes, links or
 * percent signs; a picture is what the longest end of such a name finds below the folder of the pictures, and nothing
 * outside of that folder.
 */
import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { extname, join, posix, sep } from 'node:path';
import { InputError } from '../../base/errors.ts';

/** Names with more folders than this are not looked for. */
const MAX_SEGMENTS = 64;

/** The result of looking for a name: a picture, nothing, or a link that leads out of the folder. */
export type Finding =
  | {
      readonly state: 'found';
      readonly path: string;
      /** True if the name has folders that the folder of the pictures does not have. */
      readonly isShortened: boolean;
    }
  | { readonly state: 'missing' | 'outside' };

/** Finds pictures below one folder. The names in each folder are read once. */
export class PictureFinder {
  readonly root: string;
  readonly #realRoot: string;
  readonly #folders = new Map<string, Promise<ReadonlyMap<string, Dirent>>>();
  /** The names of the files of a folder without regard to the case of their extension. */
  readonly #loose = new Map<string, ReadonlyMap<string, string>>();

  private constructor(root: string, realRoot: string) {
    this.root = root;
    this.#realRoot = realRoot;
  }

  /** @returns undefined if there is no such folder, or if its real path is not within `limit` */
  static async open(root: string, limit = root): Promise<PictureFinder | undefined> {
    const real = await realpath(root).catch(() => undefined);
    const realLimit = await realpath(limit).catch(() => undefined);
    if (real === undefined || realLimit === undefined || !isWithin(real, realLimit)) return undefined;
    return new PictureFinder(root, real);
  }

  /** Finds the picture of a name. */
  async find(name: string): Promise<Finding> {
    let isOutside = false;
    for (const segments of spellings(name))
      for (let first = 0; first < segments.length; first++) {
        const path = await this.#lookUp(segments.slice(first));
        if (path === 'outside') isOutside = true;
        else if (path !== undefined) return { state: 'found', path, isShortened: first > 0 };
      }
    return { state: isOutside ? 'outside' : 'missing' };
  }

  /** A path for a picture that was not found, at which there is no file. */
  missingPath(name: string): string {
    return join(this.root, spellings(name)[0]?.at(-1) ?? name);
  }

  /** The error about a link that leads out of the folder. */
  refusal(name: string): InputError {
    return new InputError(
      `The picture ${name} is a link that leads out of ${this.root}; refused. Name the folder that has all pictures with \`imagesRoot\` to accept it.`,
    );
  }

  /** The path of a file below the root, whose real path must be there too. */
  async #lookUp(segments: readonly string[]): Promise<string | 'outside' | undefined> {
    let folder = this.root;
    let isLinked = false;
    for (const [index, segment] of segments.entries()) {
      const entries = await this.#entriesOf(folder);
      const isLast = index === segments.length - 1;
      const name = entries.has(segment) || !isLast ? segment : this.#withOtherCase(folder, segment, entries);
      const entry = name === undefined ? undefined : entries.get(name);
      if (name === undefined || !entry) return undefined;
      isLinked ||= entry.isSymbolicLink();
      if (!isLinked && entry.isFile() !== isLast) return undefined;
      folder = join(folder, name);
    }
    if (!isLinked) return folder;
    const real = await realpath(folder).catch(() => undefined);
    if (real === undefined) return undefined;
    return isWithin(real, this.#realRoot) ? folder : 'outside';
  }

  #entriesOf(folder: string): Promise<ReadonlyMap<string, Dirent>> {
    const known = this.#folders.get(folder);
    if (known) return known;
    const entries = readdir(folder, { withFileTypes: true })
      .catch((): Dirent[] => [])
      .then((list) => new Map(list.map((entry) => [entry.name, entry])));
    this.#folders.set(folder, entries);
    return entries;
  }

  /** The file of the same name whose extension has letters of another case, such as .JPG for .jpg. */
  #withOtherCase(folder: string, name: string, entries: ReadonlyMap<string, Dirent>): string | undefined {
    const known = this.#loose.get(folder);
    const names = known ?? new Map([...entries.keys()].map((each) => [withLowerExtension(each), each]));
    if (!known) this.#loose.set(folder, names);
    return names.get(withLowerExtension(name));
  }
}

function withLowerExtension(name: string): string {
  const extension = extname(name);
  return name.slice(0, name.length - extension.length) + extension.toLowerCase();
}

/** True if a real path is that of a folder or of something in it. */
export const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/** The segments that a name may stand for: as it is, and with its percent signs decoded. */
function spellings(name: string): string[][] {
  const plain = segmentsOf(pathPart(name));
  const decoded = segmentsOf(decode(pathPart(name)));
  return decoded.join('/') === plain.join('/') ? [plain] : [plain, decoded];
}

/** The path in a name: that of a link, or of the file that a link of Label Studio names behind ?d=. */
function pathPart(name: string): string {
  const linked = /[?&]d=([^&]*)/.exec(name)?.[1];
  if (linked !== undefined) return decode(linked);
  const [, path] = /^[a-z][a-z0-9+.-]+:\/\/[^/]*\/([^?#]*)/i.exec(name) ?? [];
  return path ?? name;
}

/** The segments below the last "..", because what is above it is not in the folder. */
function segmentsOf(path: string): string[] {
  const segments = posix
    .normalize(path.replaceAll('\\', '/'))
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.');
  return segments.slice(segments.lastIndexOf('..') + 1).slice(-MAX_SEGMENTS);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that stands for itself
  }
}
