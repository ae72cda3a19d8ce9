/** The step that looks for phrases in pictures and videos. */
import { dirname } from 'node:path';
import { z } from 'zod';
import { either, listOf, type OptionSchemas, optional, text, truth, wholeNumber } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { makeDirectory, writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { listSome } from '../data/datasets/leave-out.ts';
import type { Image } from '../data/image.ts';
import type { Phrases } from '../data/phrases.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../data/pixel-limit.ts';
import { clippedNotice } from '../data/rgb-image.ts';
import { annotateImage } from '../detect/annotate.ts';
import type { Detection, EncodedPrompt } from '../detect/base-detector.ts';
import { Detector } from '../detect/detector.ts';
import { type BoxSelection, boxSchemas } from '../detect/select-boxes.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { ProviderName } from '../runtime/options.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { detectVideo } from './detect-video.ts';
import { planDrawings, writtenFormat } from './drawing-paths.ts';
import { checkOneWay } from './fixed-phrases.ts';
import {
  deviceSchema,
  modelSchema,
  optionalPath,
  overwriteSchemas,
  phrasesSchema,
  threadSchemas,
  workSchemas,
} from './option-schemas.ts';
import { findSources, type PictureBytes, type PictureSource, readSource } from './picture-sources.ts';
import { runStep } from './run-step.ts';
import { type ModelSource, openModel } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Options of `detect`. */
export interface DetectOptions
  extends WorkOptions,
    ReadOptions,
    ThreadOptions,
    BoxSelection,
    PixelLimitOptions,
    OverwriteOptions {
  /** The model. */
  readonly model: ModelSource;
  /** Files of pictures and videos, folders, patterns such as `photos/**`, or pictures as bytes with a name. */
  readonly images: readonly (string | PictureBytes)[];
  /**
   * The phrases, as a list or separated by commas or periods; in a list, `{ exact: 'St. Bernard' }` is taken as it is. A model for
   * fixed phrases needs none.
   */
  readonly phrases?: Phrases | undefined;
  /** The name of a prompt, of a model that is made for several, in place of `phrases`. */
  readonly prompt?: string | undefined;
  /** Takes the pictures in the subfolders of folders too. */
  readonly recursive?: boolean | undefined;
  /** Looks at every so manieth frame of videos, from the first; 1 by default. */
  readonly every?: number | undefined;
  /** Where the model runs; `cpu` by default. */
  readonly device?: ProviderName | undefined;
  /**
   * The folder into which copies are written with the boxes drawn in, in the tree of the inputs and under their names; or, for one
   * input, the file. The format follows the extension.
   */
  readonly drawInto?: string | undefined;
}

/** The defaults of `DetectOptions`. */
export const DETECT_DEFAULTS: Defaults<DetectOptions, 'every'> = { every: 1 };

const pictureBytes = z.object(
  { name: text, bytes: z.instanceof(Uint8Array, { error: 'a Uint8Array' }) },
  { error: 'an object with a name and bytes' },
);

const schemas: OptionSchemas<DetectOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...boxSchemas,
  ...overwriteSchemas,
  maxPixels: maxPixelsSchema,
  model: modelSchema,
  images: listOf(
    'a list of paths and pictures',
    either('a path, or a picture with its name and bytes', text, pictureBytes),
  ),
  phrases: phrasesSchema,
  prompt: optional(text),
  recursive: optional(truth),
  every: optional(wholeNumber(1)),
  device: deviceSchema,
  drawInto: optionalPath,
};

/** The boxes of one picture, or of one frame of a video. */
export interface DetectedImage {
  /** The path of the picture or video, or the name of a picture that was given as bytes. */
  readonly image: string;
  /** The number of the frame in the video, from 0. */
  readonly frame?: number | undefined;
  /** The time of the frame from the beginning of the video, in seconds. */
  readonly seconds?: number | undefined;
  /** The boxes in pixels, those with the highest score first. */
  readonly detections: readonly Detection[];
  /** Why one of several pictures or videos could not be read, or could be read no further. */
  readonly problem?: string | undefined;
}

/**
 * Detects phrases in pictures and videos. Of several inputs, one that cannot be read is returned with its `problem`, and the
 * others go on. To detect in images of your own program, or for many prompts, use `Detector`.
 *
 * @throws UsageError if there are no pictures or no phrases, if the model has several prompts and none is chosen, or if a copy would be written over an input; InputError if the only
 * picture or video cannot be read
 * @example
 * const found = await detect({ model: 'tiny.int8.onnx', images: ['photos/'], phrases: ['forklift'] });
 */
export async function detect(options: DetectOptions): Promise<DetectedImage[]> {
  return runStep('detect', schemas, options, async () => {
    const { device, threads, onProgress, onNotice, signal } = options;
    checkOneWay({ phrases: options.phrases, prompt: options.prompt });
    const { threshold, textThreshold, maxOverlap, maxBoxes } = options;
    const selection = { threshold, textThreshold, maxOverlap, maxBoxes };
    const { sources, targets, every } = await planDetection(options);
    await using detector = await Detector.create(await openModel(options.model, options), {
      threads,
      signal,
      ...(device && { providers: [device] }),
    });
    const prompt = await askedPrompt(detector, options);
    for (const sentence of prompt.prompt.warnings) onNotice?.(sentence);
    const find = (image: Image) => detector.detect(image, prompt, selection, signal);
    const onSource = (done: number) => {
      if (sources.length > 1) onProgress?.({ label: 'Detecting', done, total: sources.length });
    };
    const found: DetectedImage[] = [];
    const clipped: string[] = [];
    for (const [done, source] of sources.entries()) {
      signal?.throwIfAborted();
      onSource(done);
      const image = source.name;
      try {
        const onClipped = () => clipped.push(image);
        const work = { every, target: targets[done], onClipped, onNotice, onProgress, signal };
        for await (const part of detectIn(source, find, work)) found.push({ image, ...part });
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        if (sources.length === 1) throw error.cause;
        found.push({ image, detections: [], problem: error.message });
      }
    }
    onSource(sources.length);
    tellClipped(clipped, onNotice);
    return found;
  });
}

/** The prompt that the options ask for, by its name or by its phrases. */
async function askedPrompt(detector: Detector, { prompt, phrases, signal }: DetectOptions): Promise<EncodedPrompt> {
  return prompt === undefined ? detector.encodePrompt(phrases, signal) : detector.namedPrompt(prompt);
}

/** Tells which pictures have lost their bright places. */
function tellClipped(names: readonly string[], onNotice: DetectOptions['onNotice']): void {
  if (names.length > 0) onNotice?.(clippedNotice(listSome(names)));
}

/** Finds the inputs and the places of their copies, and checks them. */
async function planDetection({ images, recursive, every, drawInto, model, overwrite }: DetectOptions) {
  const sources = await findSources(images, recursive);
  if (every !== undefined && !sources.some(({ kind }) => kind === 'video'))
    throw new UsageError('`every` chooses frames of videos, and there is no video among the inputs; leave it out.');
  const targets = drawInto === undefined ? [] : await planDrawings(sources, drawInto, model, overwrite);
  return { sources, targets, every: every ?? DETECT_DEFAULTS.every };
}

/** A picture or video cannot be read. The cause is the error that says so. */
class Unreadable extends Error {}

/** An error of the input as one after which other inputs go on. */
function unreadable(error: unknown): unknown {
  return error instanceof InputError ? new Unreadable(error.message, { cause: error }) : error;
}

/** Finds the boxes of a picture or of the frames of a video, and writes its copy. */
async function* detectIn(
  source: PictureSource,
  find: (image: Image) => Promise<readonly Detection[]>,
  work: Parameters<typeof detectVideo>[2] & { readonly onClipped: () => void },
): AsyncGenerator<Omit<DetectedImage, 'image'>> {
  const { target } = work;
  if (target !== undefined) await makeDirectory(dirname(target));
  if (source.kind === 'video') {
    try {
      yield* detectVideo(source.path, find, work);
    } catch (error) {
      throw unreadable(error);
    }
    return;
  }
  const image = await readSource(source).catch((error: unknown) => {
    throw unreadable(error);
  });
  if (image.isClipped) work.onClipped();
  const detections = await find(image);
  if (target !== undefined) await writeAtomic(target, [await annotateImage(image, detections, writtenFormat(target))]);
  yield { detections };
}
