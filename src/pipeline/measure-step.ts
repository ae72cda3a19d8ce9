/** The step that measures latency and memory, here or in a process of its own. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { InputError, messageOf } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import { parseWith } from '../base/schema.ts';
import { type Measurement, measure as measureModel } from '../evaluate/measure.ts';

/** Options of `measure`. */
export interface MeasureStepOptions extends WorkOptions {
  /** The path of the model. */
  readonly model: string;
  /** The path of an image. */
  readonly image: string;
  /** The phrases of the prompt, as a list or separated by commas or periods. */
  readonly phrases: readonly string[] | string;
  /** The number of timed runs, after a few that are not timed; 20 by default. */
  readonly runs?: number | undefined;
  /** Threads of ONNX Runtime; one for each core by default. */
  readonly threads?: number | undefined;
}

/** The defaults of `MeasureStepOptions`. */
export const MEASURE_DEFAULTS = { runs: 20 } as const;

/**
 * Loads a model and times it on one image, in this process. The peak memory is that of the whole process: call this in a
 * process of its own, or use `measureInProcess`.
 *
 * @throws UsageError or InputError if the model or the image cannot be read
 * @example
 * const { medianSeconds } = await measure({ model: 'tiny.int8.onnx', image: 'street.jpg', phrases: ['person'] });
 */
export async function measure(options: MeasureStepOptions): Promise<Measurement> {
  const { model, image, phrases, runs = MEASURE_DEFAULTS.runs, threads = availableParallelism() } = options;
  return measureModel(model, image, phrases, { onProgress: options.onProgress, signal: options.signal, runs, threads });
}

const measurementSchema = z.object({
  loadSeconds: z.number(),
  runSeconds: z.array(z.number()),
  medianSeconds: z.number(),
  peakMemoryBytes: z.number(),
  threads: z.number(),
});

/**
 * Does what `measure` does in a new process, so that the peak memory is that of this model alone.
 *
 * @throws InputError if the process fails
 */
export async function measureInProcess(options: MeasureStepOptions): Promise<Measurement> {
  const { model, image, phrases, runs = MEASURE_DEFAULTS.runs, threads = availableParallelism(), signal } = options;
  const entry = join(packageRoot, 'dist', 'cli.mjs');
  const list = typeof phrases === 'string' ? phrases : phrases.join(',');
  const flags = ['--phrases', list, '--runs', `${runs}`, '--threads', `${threads}`, '--json'];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [entry, 'measure', model, image, ...flags], {
      signal,
    });
    return parseWith(measurementSchema, JSON.parse(stdout), 'The measurement');
  } catch (error) {
    signal?.throwIfAborted();
    throw new InputError(`${model} could not be measured (${messageOf(error)}).`);
  }
}
