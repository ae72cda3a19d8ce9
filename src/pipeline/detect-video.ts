/** Detection in the frames of a video, one after the other. */
import { basename } from 'node:path';
import { InputError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { Image } from '../data/image.ts';
import { probeVideo, readVideo } from '../data/read-video.ts';
import { VideoWriter } from '../data/write-video.ts';
import { drawInto } from '../detect/annotate.ts';
import type { Detection } from '../detect/base-detector.ts';

/** The boxes of one frame. */
export interface DetectedFrame {
  /** The number of the frame, from 0. */
  readonly frame: number;
  /** Its time from the beginning, in seconds. */
  readonly seconds: number;
  /** The boxes in pixels, those with the highest score first. */
  readonly detections: readonly Detection[];
}

/** How a video is looked at. */
export interface DetectVideoOptions extends WorkOptions {
  /** Looks at every so manieth frame, from the first. */
  readonly every: number;
  /** The video to write with the boxes drawn in; it has the frames that were looked at, and lasts as long. */
  readonly target?: string | undefined;
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

/**
 * @param find finds the boxes of a frame
 * @throws InputError if the video cannot be read or written
 */
export async function* detectVideo(
  path: string,
  find: (image: Image) => Promise<readonly Detection[]>,
  { every, target, onNotice, onProgress, signal }: DetectVideoOptions,
): AsyncGenerator<DetectedFrame> {
  const { rate, frames } = await probeVideo(path, signal);
  if (target !== undefined && rate === undefined)
    throw new InputError(
      `${path} does not tell how many frames a second it has, so that boxes cannot be drawn into it.`,
    );
  const [numerator = 0, denominator = 1] = (rate ?? '').split('/').map(Number);
  const label = `Detecting in ${basename(path)}`;
  let [done, total] = [0, Math.ceil((frames ?? 0) / every)];
  await using drawing = new Drawing(target, `${numerator}/${denominator * every}`, signal);
  for await (const { frame, seconds, image } of readVideo(path, { every, signal, onNotice })) {
    // The number of frames is an estimate in many containers.
    total = Math.max(total, done + 1);
    onProgress?.({ label, done, total });
    const detections = await find(image);
    signal?.throwIfAborted();
    await drawing.add(image, detections);
    done++;
    yield { frame, seconds: Number.isNaN(seconds) ? (frame * denominator) / numerator : seconds, detections };
  }
  if (done === 0) throw new InputError(`${path} has no frames.`);
  await drawing.finish();
  onProgress?.({ label, done, total: done });
}

/** The video with boxes, if one is wanted. It begins with the first frame, whose size it has. */
class Drawing implements AsyncDisposable {
  readonly #target: string | undefined;
  readonly #rate: string;
  readonly #signal: AbortSignal | undefined;
  #writer: VideoWriter | undefined;

  constructor(target: string | undefined, rate: string, signal: AbortSignal | undefined) {
    this.#target = target;
    this.#rate = rate;
    this.#signal = signal;
  }

  async add(image: Image, detections: readonly Detection[]): Promise<void> {
    if (this.#target === undefined) return;
    this.#writer ??= new VideoWriter(this.#target, image, this.#rate, this.#signal);
    await this.#writer.write(await drawInto(image, detections));
  }

  async finish(): Promise<void> {
    await this.#writer?.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer?.[Symbol.asyncDispose]();
  }
}
