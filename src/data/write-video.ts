/** Writes a video by the program ffmpeg. The file appears whole or not at all. */
import { unlink } from 'node:fs/promises';
import { extname } from 'node:path';
import { InputError } from '../base/errors.ts';
import { publishFile } from '../base/files.ts';
import { temporaryBeside } from '../base/temporary.ts';
import { Program } from './ffmpeg.ts';
import type { Image } from './rgb-image.ts';
import type { Size } from './size.ts';

/** The containers that are written, by the extension of the file. */
const MUXERS: Readonly<Record<string, string>> = {
  '.mp4': 'mp4',
  '.m4v': 'mp4',
  '.mov': 'mov',
  '.mkv': 'matroska',
  '.webm': 'webm',
  '.avi': 'avi',
};

/** True for the name of a video that can be written. */
export const isWrittenVideo = (name: string): boolean => extname(name).toLowerCase() in MUXERS;

/** The extensions of the videos that can be written, in words. */
export const VIDEO_EXTENSIONS = Object.keys(MUXERS).join(', ');

/**
 * A video that is being written, frame by frame, at a constant rate and without sound. What is not finished is removed when it is
 * disposed of.
 */
export class VideoWriter implements AsyncDisposable {
  readonly #program: Program;
  readonly #temporary: string;
  readonly #path: string;
  readonly #size: Size;
  readonly #signal: AbortSignal | undefined;

  /**
   * @param size the size of the frames in pixels
   * @param rate the frames in a second, as a fraction such as `30000/1001`
   */
  constructor(path: string, size: Size, rate: string, signal?: AbortSignal) {
    this.#path = path;
    this.#size = size;
    this.#signal = signal;
    this.#temporary = temporaryBeside(path);
    const muxer = MUXERS[extname(path).toLowerCase()] ?? 'mp4';
    const given = [
      ...['-hide_banner', '-nostats', '-loglevel', 'level+error'],
      ...['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-video_size', `${size.width}x${size.height}`, '-framerate', rate],
      // Encoders that every player reads take sides of an even number of pixels.
      ...['-i', 'pipe:0', '-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-pix_fmt', 'yuv420p'],
      ...['-f', muxer, `file:${this.#temporary}`],
    ];
    this.#program = new Program('ffmpeg', given, path, { signal, unfinished: this.#temporary });
  }

  /** Writes the next frame. @throws InputError if it has another size than the first, or if ffmpeg fails */
  async write(image: Image): Promise<void> {
    this.#signal?.throwIfAborted();
    const { width, height } = this.#size;
    if (image.width !== width || image.height !== height)
      throw new InputError(`${this.#path} was not written, because the size of the frames changes within the video.`);
    const { stdin } = this.#program.child;
    if (!stdin || stdin.destroyed) return this.#program.end('written');
    if (stdin.write(image.pixels)) return;
    await new Promise<void>((resolve) => {
      // A program that has ended takes nothing any more.
      for (const event of ['drain', 'close']) stdin.once(event, resolve);
    });
    this.#signal?.throwIfAborted();
  }

  /** Completes the file. @throws InputError if ffmpeg fails */
  async finish(): Promise<void> {
    this.#program.child.stdin?.end();
    await this.#program.end('written');
    await publishFile(this.#temporary, this.#path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
    await unlink(this.#temporary).catch(() => undefined);
  }
}
