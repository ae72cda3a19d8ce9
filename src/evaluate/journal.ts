/**
 * What a long evaluation has done so far, one line per image, so that it can be interrupted at any moment and go on.
 * The first line says what the lines belong to; a journal of anything else is refused, a torn last line is dropped.
 */
import { appendFile, truncate, unlink } from 'node:fs/promises';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { exists, fileError, readText, writeAtomic } from '../base/files.ts';
import type { CocoDetection } from './average-precision.ts';

const headSchema = z.object({ model: z.string(), images: z.number() });
const lineSchema = z.object({
  image: z.number(),
  detections: z.array(
    z.object({
      image_id: z.number(),
      category_id: z.number(),
      bbox: z.tuple([z.number(), z.number(), z.number(), z.number()]),
      score: z.number(),
    }),
  ),
});

export class Journal {
  readonly #path: string;
  /** The detections of the images that are done. */
  readonly done: ReadonlyMap<number, readonly CocoDetection[]>;

  private constructor(path: string, done: ReadonlyMap<number, readonly CocoDetection[]>) {
    this.#path = path;
    this.done = done;
  }

  /** Opens the journal at `path`, or starts one. @throws InputError if it is of another model or number of images */
  static async open(path: string, model: string, images: number): Promise<Journal> {
    const head = JSON.stringify({ model, images });
    if (!(await exists(path))) {
      await writeAtomic(path, `${head}\n`);
      return new Journal(path, new Map());
    }
    const text = await readText(path);
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) await truncate(path, Buffer.byteLength(whole));
    const [first = '', ...lines] = whole.split('\n').filter(Boolean);
    const known = headSchema.safeParse(parseLine(first, path));
    if (!known.success || known.data.model !== model || known.data.images !== images)
      throw new InputError(`${path} is of another evaluation; remove it to start anew, or write the result elsewhere.`);
    const done = new Map<number, readonly CocoDetection[]>();
    for (const line of lines) {
      const entry = lineSchema.safeParse(parseLine(line, path));
      if (!entry.success) throw new InputError(`${path} is damaged; remove it to start anew.`);
      done.set(entry.data.image, entry.data.detections);
    }
    return new Journal(path, done);
  }

  async add(image: number, detections: readonly CocoDetection[]): Promise<void> {
    try {
      await appendFile(this.#path, `${JSON.stringify({ image, detections })}\n`);
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
  }

  /** To be called once the result is safe. */
  async remove(): Promise<void> {
    await unlink(this.#path);
  }
}

function parseLine(line: string, path: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new InputError(`${path} is damaged; remove it to start anew.`);
  }
}
