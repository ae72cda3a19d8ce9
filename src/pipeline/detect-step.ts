/** The step that looks for phrases in images. */
import { basename, extname, join } from 'node:path';
import { makeDirectory, writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { findImages } from '../data/find-images.ts';
import { readImage } from '../data/image.ts';
import type { Phrases } from '../data/phrases.ts';
import { annotateImage } from '../detect/annotate.ts';
import { type Detection, Detector } from '../detect/detector.ts';
import { type BoxSelection, checkSelection } from '../detect/select-boxes.ts';
import type { ProviderName } from '../runtime/options.ts';
import { type ThreadOptions, withThreads } from '../runtime/threads.ts';
import { type ModelSource, openModel } from './sources.ts';

/** Options of `detect`. */
export interface DetectOptions extends WorkOptions, ThreadOptions, BoxSelection {
  /** The model. */
  readonly model: ModelSource;
  /** Files, folders, or patterns such as `photos/*.jpg`. */
  readonly images: readonly string[];
  /** The phrases, as a list or separated by commas or periods; in a list, `{ exact: 'St. Bernard' }` is taken as it is. */
  readonly phrases: Phrases;
  /** Where the model runs; `cpu` by default. */
  readonly device?: ProviderName | undefined;
  /** The folder into which the images are written as JPEG, with the boxes drawn in. */
  readonly drawInto?: string | undefined;
}

/** The boxes of one image. */
export interface DetectedImage {
  /** The path of the image. */
  readonly image: string;
  /** The boxes in pixels, those with the highest score first. */
  readonly detections: readonly Detection[];
}

/**
 * Detects phrases in images. To detect in images of your own program, or for many prompts, use `Detector`.
 *
 * @throws UsageError if there are no images or no phrases; InputError if an image cannot be read
 * @example
 * const found = await detect({ model: 'tiny.int8.onnx', images: ['photos/'], phrases: ['forklift'] });
 */
export async function detect(options: DetectOptions): Promise<DetectedImage[]> {
  return withThreads(options.threads, async () => {
    const { phrases, device, threads, drawInto, onProgress, onNotice, signal } = options;
    checkSelection(options);
    const images = await findImages(options.images);
    if (drawInto !== undefined) await makeDirectory(drawInto);
    await using detector = await Detector.create(await openModel(options.model, options.onNotice), {
      threads,
      ...(device && { providers: [device] }),
    });
    const prompt = await detector.encodePrompt(phrases);
    for (const sentence of prompt.prompt.warnings) onNotice?.(sentence);
    const found: DetectedImage[] = [];
    for (const [done, path] of images.entries()) {
      signal?.throwIfAborted();
      if (images.length > 1) onProgress?.({ label: 'Detecting', done, total: images.length });
      const image = await readImage(path);
      const detections = await detector.detect(image, prompt, options);
      if (drawInto !== undefined) {
        const name = `${basename(path, extname(path))}.jpg`;
        await writeAtomic(join(drawInto, name), [await annotateImage(image, detections)]);
      }
      found.push({ image: path, detections });
    }
    if (images.length > 1) onProgress?.({ label: 'Detecting', done: images.length, total: images.length });
    return found;
  });
}
