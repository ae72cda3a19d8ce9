/** Reads the frames of a video, one at a time, by the program ffmpeg. */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { irregularFile } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import { isStream } from '../base/write-place.ts';
import { inputArguments, Program } from './ffmpeg.ts';
import type { Image } from './image.ts';
import { checkPixels, type PixelLimitOptions } from './pixel-limit.ts';
import { pixelLimit } from './step-pixel-limit.ts';

/** The properties of a video that are known before it is read. */
export interface VideoInfo {
  /** The frames in a second on average, as a fraction such as `30000/1001`; undefined if the file does not tell. */
  readonly rate: string | undefined;
  /** The number of frames, which is an estimate in many containers; undefined if the file does not tell. */
  readonly frames: number | undefined;
}

/** A frame of a video. */
export interface VideoFrame {
  /** Its number, from 0. */
  readonly frame: number;
  /** Its time from the beginning, in seconds. */
  readonly seconds: number;
  /** Its pixels, upright. */
  readonly image: Image;
}

const probeSchema = z.object({
  streams: z.array(
    z.object({
      avg_frame_rate: z.string().optional(),
      nb_frames: z.string().optional(),
      duration: z.string().optional(),
      width: z.number().optional(),
      height: z.number().optional(),
    }),
  ),
  format: z.object({ duration: z.string().optional() }).optional(),
});

/** The description that ffprobe prints of one stream is a few hundred bytes. */
const MAX_DESCRIPTION = 1 << 20;

/**
 * Asks for the rate and the number of frames of a video.
 * @throws InputError if it is no video that can be read, if its frames have too many pixels, or if ffmpeg is not installed
 */
export async function probeVideo(path: string, signal?: AbortSignal): Promise<VideoInfo> {
  if (await isStream(path)) throw irregularFile(path);
  const entries = 'stream=avg_frame_rate,nb_frames,duration,width,height:format=duration';
  // Pictures that are attached, such as covers, are no videos.
  const given = ['-v', 'level+error', '-select_streams', 'V:0', '-show_entries', entries, '-of', 'json'];
  await using program = new Program('ffprobe', [...given, ...inputArguments(path)], path, { signal });
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of program.child.stdout as Readable) {
    size += part.length;
    if (size > MAX_DESCRIPTION) throw new InputError(`${path} cannot be read as a video: its description has no end.`);
    parts.push(part);
  }
  signal?.throwIfAborted();
  await program.end('read');
  const { streams, format } = parseWith(probeSchema, JSON.parse(Buffer.concat(parts).toString()), path);
  const [stream] = streams;
  if (!stream) throw new InputError(`${path} has no video in it.`);
  checkPixels({ width: stream.width ?? 0, height: stream.height ?? 0 }, path, pixelLimit());
  const [numerator = 0, denominator = 0] = (stream.avg_frame_rate ?? '').split('/').map(Number);
  const perSecond = numerator / denominator;
  const hasRate = Number.isFinite(perSecond) && perSecond > 0;
  const counted = Number(stream.nb_frames ?? Number.NaN);
  const estimated = Math.round(Number(stream.duration ?? format?.duration ?? Number.NaN) * perSecond);
  const frames = [counted, estimated].find((count) => Number.isSafeInteger(count) && count > 0);
  return { rate: hasRate ? `${numerator}/${denominator}` : undefined, frames };
}

/** Options of `readVideo`. */
export interface ReadVideoOptions extends PixelLimitOptions {
  /** Reads only every so manieth frame, from the first; 1 by default. */
  readonly every?: number | undefined;
  /** Stops reading; the generator then throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /** Called with a sentence if ffmpeg found damage and went on. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

/**
 * Reads the frames of a video. One frame at a time is in memory.
 * @throws InputError if the video is damaged or its frames are too large, or if ffmpeg is not installed
 * @example
 * for await (const { seconds, image } of readVideo('street.mp4', { every: 30 }))
 *   console.log(seconds, await detector.detect(image, prompt));
 */
export async function* readVideo(path: string, options: ReadVideoOptions = {}): AsyncGenerator<VideoFrame> {
  const { every = 1, maxPixels = pixelLimit(), signal, onNotice } = options;
  signal?.throwIfAborted();
  if (await isStream(path)) throw irregularFile(path);
  const times = new Times();
  const given = [
    ...[
      '-hide_banner',
      '-nostdin',
      '-nostats',
      '-loglevel',
      'level+info',
      '-max_pixels',
      `${alignedPixels(maxPixels)}`,
    ],
    ...inputArguments(path),
    ...['-map', '0:V:0', '-vf', `select=not(mod(n\\,${every})),showinfo`, ...(await passThrough(path, signal))],
    ...['-pix_fmt', 'rgb24', '-c:v', 'ppm', '-f', 'image2pipe', 'pipe:1'],
  ];
  await using program = new Program('ffmpeg', given, path, { signal, onLine: (line) => times.read(line) });
  program.child.stderr?.once('close', () => times.end());
  const bytes = new ByteReader(program.child.stdout as Readable);
  for (let count = 0; ; count++) {
    const image = await readFrame(bytes, path, maxPixels).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw error;
    });
    signal?.throwIfAborted();
    if (!image) break;
    const seconds = await times.next();
    signal?.throwIfAborted();
    yield { frame: count * every, seconds, image };
  }
  await program.end('read');
  if (program.complaint !== undefined) onNotice?.(`${path} is damaged in places (ffmpeg: ${program.complaint}).`);
}

/** Codecs round the sides of frames up to whole blocks before ffmpeg counts their pixels; the frames are counted here too. */
const alignedPixels = (maxPixels: number): number => 2 * maxPixels + (1 << 16);

/** The option that keeps frames as they are in the file, without doubling or leaving out any. Its name changed in ffmpeg 5.1. */
async function passThrough(path: string, signal: AbortSignal | undefined): Promise<string[]> {
  await using program = new Program('ffmpeg', ['-version'], path, { signal });
  let text = '';
  for await (const part of program.child.stdout as Readable) text = `${text}${part}`.slice(0, 1000);
  signal?.throwIfAborted();
  await program.end('read');
  const [major, minor] = /^ffmpeg version n?(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number) ?? [];
  const isOld = major !== undefined && minor !== undefined && (major < 5 || (major === 5 && minor < 1));
  return isOld ? ['-vsync', 'passthrough'] : ['-fps_mode', 'passthrough'];
}

/** The times of frames, which arrive beside their pixels: the filter `showinfo` prints them. */
class Times {
  readonly #known: number[] = [];
  #waiting: ((seconds: number) => void) | undefined;
  #hasEnded = false;

  read(line: string): void {
    const time = /\bn: *\d+ +pts: *\S+ +pts_time:(\S+)/.exec(line)?.[1];
    if (time === undefined) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting(Number(time));
    else this.#known.push(Number(time));
  }

  end(): void {
    this.#hasEnded = true;
    this.#waiting?.(Number.NaN);
  }

  /** The time of the next frame; not a number if the file does not tell. */
  async next(): Promise<number> {
    const known = this.#known.shift();
    if (known !== undefined || this.#hasEnded) return known ?? Number.NaN;
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

/** The header of a frame is three short lines: "P6", the size, and 255. */
const MAX_HEADER = 64;

/** Reads one frame, in the format PPM; undefined at the end. */
async function readFrame(bytes: ByteReader, path: string, maxPixels: number): Promise<Image | undefined> {
  let header = '';
  for (let lines = 0; lines < 3; ) {
    const byte = await bytes.next();
    if (byte === undefined && header === '') return undefined;
    if (byte === undefined || header.length > MAX_HEADER)
      throw new InputError(`${path} cannot be read as a video: ffmpeg ended in the middle of a frame.`);
    header += String.fromCharCode(byte);
    if (byte === 0x0a) lines++;
  }
  const [width = 0, height = 0] = (/^P6\n(\d+) (\d+)\n255\n$/.exec(header) ?? []).slice(1).map(Number);
  checkPixels({ width, height }, path, maxPixels);
  if (width < 1 || height < 1)
    throw new InputError(`${path} has frames of ${width}x${height} pixels, which cannot be decoded.`);
  const pixels = new Uint8Array(width * height * 3);
  if (!(await bytes.fill(pixels)))
    throw new InputError(`${path} cannot be read as a video: ffmpeg ended in the middle of a frame.`);
  return { width, height, pixels };
}

/** Reads a stream by numbers of bytes. The stream waits while nothing is read. */
class ByteReader {
  readonly #parts: AsyncIterator<Buffer>;
  #part: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(stream: Readable) {
    this.#parts = stream[Symbol.asyncIterator]();
  }

  async #load(): Promise<boolean> {
    while (this.#at >= this.#part.length) {
      const { done, value } = await this.#parts.next();
      if (done) return false;
      [this.#part, this.#at] = [value, 0];
    }
    return true;
  }

  /** The next byte; undefined at the end. */
  async next(): Promise<number | undefined> {
    return (await this.#load()) ? this.#part[this.#at++] : undefined;
  }

  /** Fills an array; false if the stream ends before. */
  async fill(target: Uint8Array): Promise<boolean> {
    for (let filled = 0; filled < target.length; ) {
      if (!(await this.#load())) return false;
      const part = this.#part.subarray(this.#at, this.#at + target.length - filled);
      target.set(part, filled);
      filled += part.length;
      this.#at += part.length;
    }
    return true;
  }
}
