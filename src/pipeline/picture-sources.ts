/** What `detect` looks at: pictures and videos, by path or as bytes. */
import { extname } from 'node:path';
import { fileKind, readFileKind } from '../data/file-kind.ts';
import { findImages } from '../data/find-images.ts';
import { decodeImage, type Image, readImage } from '../data/image.ts';

/** A picture that is in memory. */
export interface PictureBytes {
  /** Its name in results, in messages, and of its copy with boxes. */
  readonly name: string;
  /** The content of its file. */
  readonly bytes: Uint8Array;
}

/** A picture or a video. */
export type PictureSource =
  | { readonly kind: 'picture'; readonly path: string; readonly name: string; readonly bytes?: undefined }
  | { readonly kind: 'picture'; readonly path?: undefined; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'video'; readonly path: string; readonly name: string; readonly bytes?: undefined };

/** Extensions of videos, for files whose content tells nothing. */
const VIDEO_NAMES = new Set(['.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts']);
for (const name of ['.wmv', '.flv', '.3gp', '.ogv']) VIDEO_NAMES.add(name);

/** True for the name of a video by its ending. */
export const isVideoName = (name: string): boolean => VIDEO_NAMES.has(extname(name).toLowerCase());

/**
 * The pictures and videos that names stand for, in their order.
 * @throws UsageError if a name stands for none
 */
export async function findSources(
  given: readonly (string | PictureBytes)[],
  recursive: boolean | undefined,
): Promise<PictureSource[]> {
  const found = new Map<string, PictureSource>();
  for (const each of given) {
    if (typeof each !== 'string') {
      found.set(`bytes of ${each.name}`, { kind: 'picture', ...each });
      continue;
    }
    for (const path of await findImages([each], { recursive, videos: true })) found.set(path, await sourceOf(path));
  }
  return [...found.values()];
}

async function sourceOf(path: string): Promise<PictureSource> {
  const kind = await readFileKind(path);
  const isVideo = kind === 'video' || (kind === undefined && isVideoName(path));
  return { kind: isVideo ? 'video' : 'picture', path, name: path };
}

/** Decodes a picture. @throws InputError if it cannot be decoded */
export function readSource({ path, bytes, name }: PictureSource): Promise<Image> {
  return bytes === undefined ? readImage(path) : decodeImage(bytes, name);
}

/** The format of a picture by its content; undefined if it is unknown. */
export function kindOfSource({ path, bytes }: PictureSource): ReturnType<typeof readFileKind> {
  return bytes === undefined ? readFileKind(path) : Promise.resolve(fileKind(bytes));
}
