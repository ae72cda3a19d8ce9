/** What happened at each step, as a file of JSON lines: for people, for plots, and to compare two trainings. */
import { appendFile } from 'node:fs/promises';
import { z } from 'zod';
import { exists, fileError, readText, writeAtomic } from '../base/files.ts';

const stepSchema = z.object({
  kind: z.literal('step'),
  step: z.number(),
  epoch: z.number(),
  loss: z.number(),
  class: z.number(),
  box: z.number(),
  giou: z.number(),
  distillation: z.number().optional(),
  rate: z.number(),
  gradientNorm: z.number(),
  imagesPerSecond: z.number(),
});

const scoreSchema = z.object({
  kind: z.literal('score'),
  step: z.number(),
  /** Average precision on the validation images, in COCO's points. */
  AP: z.number(),
  AP50: z.number(),
  images: z.number(),
});

const lineSchema = z.discriminatedUnion('kind', [stepSchema, scoreSchema]);

export type LogLine = z.output<typeof lineSchema>;

export class TrainingLog {
  readonly #path: string;
  readonly lines: LogLine[];

  private constructor(path: string, lines: LogLine[]) {
    this.#path = path;
    this.lines = lines;
  }

  /** Opens the log of a training that has done `step` steps: what was written of later ones is taken back. */
  static async open(path: string, step: number): Promise<TrainingLog> {
    const text = step > 0 && (await exists(path)) ? await readText(path) : '';
    const lines = text.split('\n').flatMap((line) => {
      const parsed = lineSchema.safeParse(parseLine(line));
      // A torn last line is of a step after the last that was saved.
      return parsed.success && parsed.data.step <= step ? [parsed.data] : [];
    });
    await writeAtomic(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return new TrainingLog(path, lines);
  }

  async add(line: LogLine): Promise<void> {
    this.lines.push(line);
    try {
      await appendFile(this.#path, `${JSON.stringify(line)}\n`);
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
