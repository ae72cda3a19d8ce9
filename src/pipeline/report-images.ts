/** The pictures of a report: those in which the boxes of a result were found, and no others. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { InputError, UsageError } from '../base/errors.ts';
import { readBytes } from '../base/files.ts';
import { encodeImage } from '../data/encode-image.ts';
import { decodeImage, type Image } from '../data/image.ts';
import { shrinkTo } from '../data/resample.ts';
import type { ShownImage } from '../report/report-content.ts';
import type { CompressedImage } from './compress-options.ts';

/** A picture with longer sides is made smaller, since a report is passed on. Boxes keep the pixels of the original. */
const LONGEST_SIDE = 1000;
/** No picture is larger in a file. */
const LARGEST_FILE = 1 << 28;

/** The pictures that can be shown, and a sentence about each that cannot. */
export interface ReportImages {
  readonly images: readonly ShownImage[];
  readonly missing: readonly string[];
}

/**
 * Reads the pictures that a result names. One that was replaced since is not shown: the boxes were not found in it, and a result
 * of a stranger could name any picture on this machine.
 */
export async function reportImages(named: readonly CompressedImage[]): Promise<ReportImages> {
  const images: ShownImage[] = [];
  const missing: string[] = [];
  for (const image of named) {
    const name = basename(image.path);
    try {
      const bytes = await readBytes(image.path, LARGEST_FILE);
      if (createHash('sha256').update(bytes).digest('hex') === image.hash)
        images.push({ name, ...(await shown(await decodeImage(bytes, image.path))), detections: image.detections });
      else missing.push(`The picture ${name} has changed since the boxes were found, and is not shown.`);
    } catch (error) {
      if (!(error instanceof InputError || error instanceof UsageError)) throw error;
      missing.push(`The picture ${name} cannot be read any more, and is not shown.`);
    }
  }
  return { images, missing };
}

async function shown(image: Image): Promise<Pick<ShownImage, 'width' | 'height' | 'bytes' | 'mediaType'>> {
  const { width, height } = image;
  const bytes = await encodeImage(shrinkTo(image, LONGEST_SIDE), 'jpeg');
  return { width, height, bytes, mediaType: 'image/jpeg' };
}
