/** Where the copies of pictures and videos with their boxes are written. */
import { basename, dirname, extname, isAbsolute, join, relative, resolve } from 'node:path';
import { UsageError } from '../base/errors.ts';
import { isDirectory } from '../base/files.ts';
import { checkOutputs } from '../base/output-paths.ts';
import { formatOfName, type PictureFormat } from '../data/file-kind.ts';
import { isWrittenVideo, VIDEO_EXTENSIONS } from '../data/write-video.ts';
import { filesReadWith } from '../models/package/model-files.ts';
import { isVideoName, kindOfSource, type PictureSource } from './picture-sources.ts';
import type { ModelSource } from './sources.ts';

/**
 * The path of the copy of each source. A folder gets the tree of the sources below the deepest folder that all of them are in,
 * with the names that they have; of one source, `out` may be the file itself.
 *
 * @param out a folder, or a file by the extension of a picture or video
 * @param overwrite whether a copy may take the place of a source
 * @throws UsageError if a copy would be written over a source or the model, or two copies to one file
 */
export async function planDrawings(
  sources: readonly PictureSource[],
  out: string,
  model: ModelSource,
  overwrite: boolean | undefined,
): Promise<string[]> {
  const isFile = (formatOfName(out) !== undefined || isVideoName(out)) && !(await isDirectory(out));
  const targets = isFile ? [fileFor(sources, out)] : await pathsBelow(sources, out);
  const inputs = [
    ...sources.map(({ path }) => path),
    ...(await filesReadWith(typeof model === 'string' ? model : model.source)),
  ];
  await checkOutputs(targets, inputs, { makesFolders: !isFile, overwrite });
  return targets;
}

function fileFor(sources: readonly PictureSource[], out: string): string {
  const [source, ...others] = sources;
  if (others.length > 0)
    throw new UsageError(`${out} names one file, and there are ${sources.length} pictures and videos; name a folder.`);
  if (source?.kind === 'video' && !isWrittenVideo(out))
    throw new UsageError(
      `${source.name} is a video; name a file that ends in one of ${VIDEO_EXTENSIONS}, or a folder.`,
    );
  if (source?.kind === 'picture' && writtenFormat(out) === undefined)
    throw new UsageError(
      `${source.name} is a picture and cannot be written as ${extname(out)}; name a .png or .jpg file.`,
    );
  return out;
}

async function pathsBelow(sources: readonly PictureSource[], out: string): Promise<string[]> {
  const folders = sources.flatMap(({ path }) => (path === undefined ? [] : [dirname(resolve(path))]));
  const root = commonFolder(folders);
  return Promise.all(
    sources.map(async (source) => {
      const { path, name } = source;
      const below = path === undefined ? basename(name) : relative(root, resolve(path));
      // On Windows, files of two drives have no folder in common.
      return join(
        out,
        withExtension(isAbsolute(below) ? basename(below) : below, source.kind, await kindOfSource(source)),
      );
    }),
  );
}

/** The deepest folder that contains all of these. */
function commonFolder([first = '.', ...others]: readonly string[]): string {
  let folder = first;
  const isBelow = (other: string) => {
    const path = relative(folder, other);
    return !(path.startsWith('..') || isAbsolute(path));
  };
  while (!others.every(isBelow) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/** The format of a picture that is written by this name; undefined if none can be written. */
export function writtenFormat(name: string): PictureFormat | undefined {
  const format = formatOfName(name);
  return format === 'heic' ? undefined : format;
}

/** A name keeps its extension if a file of that kind can be written, and otherwise gets one more. */
function withExtension(name: string, kind: 'picture' | 'video', content: string | undefined): string {
  if (kind === 'video') return isWrittenVideo(name) ? name : `${name}.mp4`;
  if (writtenFormat(name) !== undefined) return name;
  return `${name}.${content === 'jpeg' ? 'jpg' : 'png'}`;
}
