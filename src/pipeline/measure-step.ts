/** The step that measures latency and memory, here or in a process of its own. */

import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { type OptionSchemas, optional, text as textSchema, wholeNumber } from '../base/check-options.ts';
import { describeDeath, startCommand } from '../base/command-process.ts';
import type { Defaults } from '../base/defaults.ts';
import { InputError, messageOf, UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import { parseWith } from '../base/schema.ts';
import { listPhrases, type Phrases } from '../data/phrases.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../data/pixel-limit.ts';
import { type Measurement, measureDetector, measureFeeds } from '../evaluate/measure.ts';
import type { ModelIdentity } from '../models/package/model-identity.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { ProviderName } from '../runtime/options.ts';
import type { Feeds } from '../runtime/session.ts';
import { defaultThreads, type ThreadOptions } from '../runtime/threads.ts';
import { type BlankInputOptions, blankInputs } from './blank-inputs.ts';
import {
  blankInputSchemas,
  deviceSchema,
  inputSchema,
  phrasesSchema,
  picturesSchema,
  threadSchemas,
  workSchemas,
} from './option-schemas.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { identitySchema } from './result-schemas.ts';
import { runStep } from './run-step.ts';
import { type InputSource, openLabelledInputs, type PictureOptions, refuseUnusedPictures } from './samples.ts';
import { openAnyModel } from './sources.ts';

/** Options of `measure`. */
export interface MeasureStepOptions extends WorkOptions, ReadOptions, ThreadOptions, PixelLimitOptions {
  /** The path of the model. */
  readonly model: string;
  /** The path of an image. */
  readonly image: string;
  /** The phrases of the prompt, as a list or separated by commas or periods. */
  readonly phrases: Phrases;
  /** The number of timed runs, after a few that are not timed; 20 by default. */
  readonly runs?: number | undefined;
  /** Where the model runs; `cpu` by default. */
  readonly device?: ProviderName | undefined;
}

/** The defaults of `MeasureStepOptions`. */
export const MEASURE_DEFAULTS: Defaults<MeasureStepOptions, 'runs'> = { runs: 20 };

/** The seconds of every run are kept. */
export const MOST_RUNS = 1_000_000;

const commonSchemas = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  maxPixels: maxPixelsSchema,
  model: textSchema,
  runs: optional(wholeNumber(1, MOST_RUNS)),
  device: deviceSchema,
};

/** What the options of `measure` must be. */
export const measureSchemas: OptionSchemas<MeasureStepOptions> = {
  ...commonSchemas,
  image: textSchema,
  phrases: phrasesSchema,
};

/** The result of `measure` and `measureInputs`. */
export interface MeasureResult extends Measurement {
  /** What was measured. */
  readonly origin: ResultOrigin;
}

/**
 * Loads a model and times it on one image, in this process. The peak memory is that of the whole process: call this in a
 * process of its own, or use `measureInProcess`.
 *
 * @throws UsageError or InputError if the model or the image cannot be read
 * @example
 * const { medianSeconds } = await measure({ model: 'tiny.int8.onnx', image: 'street.jpg', phrases: ['person'] });
 */
export async function measure(options: MeasureStepOptions): Promise<MeasureResult> {
  return runStep('measure', measureSchemas, options, async () => {
    const { model, image, phrases, runs = MEASURE_DEFAULTS.runs, threads = defaultThreads() } = options;
    const { measurement, source } = await measureDetector(model, image, phrases, {
      onProgress: options.onProgress,
      signal: options.signal,
      onNotice: options.onNotice,
      ema: options.ema,
      tokenizer: options.tokenizer,
      runs,
      threads,
      device: options.device,
    });
    // After the measurement, whose memory this would add to.
    return { origin: originOf('measure', { subject: model, model: source }), ...measurement };
  });
}

/** Options of `measureInputs`. */
export interface MeasureInputsOptions
  extends WorkOptions,
    ReadOptions,
    ThreadOptions,
    PixelLimitOptions,
    Pick<BlankInputOptions, 'shapes'> {
  /** The path of the model. */
  readonly model: string;
  /** A file of arrays or a picture; by default the inputs are zeros of the shapes that the model or `shapes` state. */
  readonly inputs?: InputSource | undefined;
  /** How a picture becomes the input. */
  readonly pictures?: PictureOptions | undefined;
  /** The number of timed runs, after a few that are not timed; 20 by default. */
  readonly runs?: number | undefined;
  /** Where the model runs; `cpu` by default. */
  readonly device?: ProviderName | undefined;
}

const inputSchemas: OptionSchemas<MeasureInputsOptions> = {
  ...commonSchemas,
  inputs: optional(inputSchema),
  pictures: picturesSchema,
  shapes: blankInputSchemas.shapes,
};

/**
 * Loads a model that is no detector of dino8, as it is in its file, and times it, in this process.
 *
 * @throws UsageError if inputs are neither given nor known from the model
 * @example
 * const { medianSeconds } = await measureInputs({ model: 'model.int8.onnx', shapes: { x: [1, 3, 640, 640] } });
 */
export async function measureInputs(options: MeasureInputsOptions): Promise<MeasureResult> {
  return runStep('measureInputs', inputSchemas, options, async () => {
    const { model, inputs, pictures, shapes, runs = MEASURE_DEFAULTS.runs, threads = defaultThreads() } = options;
    const loaded = await openAnyModel(model, options);
    if (loaded.family.detection)
      throw new UsageError(`${model} is a detector, which is measured with an image and \`phrases\`.`);
    refuseUnusedPictures(loaded, inputs, pictures);
    const work = { onProgress: options.onProgress, signal: options.signal, runs, threads, device: options.device };
    const measureOn = async (feeds: Feeds): Promise<MeasureResult> => {
      const measurement = await measureFeeds(model, feeds, work);
      return { origin: originOf('measure', { subject: model, model: loaded }), ...measurement };
    };
    if (inputs === undefined) return measureOn(blankInputs(loaded, { shapes }));
    if (shapes) throw new UsageError('`shapes` has no effect on inputs that are given; leave one of them out.');
    const { samples } = await openLabelledInputs(loaded, inputs, { count: 1, pictures });
    for await (const { feeds } of samples.samples()) return measureOn(feeds);
    throw new UsageError('There are no inputs to run the model on.');
  });
}

const measurementSchema = z.object({
  origin: identitySchema,
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
 * @example
 * const { peakMemoryBytes } = await measureInProcess({ model: 'tiny.int8.onnx', image: 'street.jpg', phrases: ['person'] });
 */
export async function measureInProcess(options: MeasureStepOptions): Promise<Measurement> {
  return runStep('measureInProcess', measureSchemas, options, async () => {
    const { identity: _, ...measurement } = await measureInChild(options);
    return measurement;
  });
}

/** A measurement in a process of its own, with the hashes of the model that was measured. */
export interface MeasuredModel extends Measurement {
  readonly identity: ModelIdentity;
}

/** The sentence with which a command ended, without the name in front. */
const lastSentence = (said: string): string | undefined =>
  said
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^dino8: /, '')
    .replace(/\.$/, '') || undefined;

export async function measureInChild(options: MeasureStepOptions): Promise<MeasuredModel> {
  const { model, image, phrases, runs = MEASURE_DEFAULTS.runs, threads = defaultThreads(), signal } = options;
  const entry = join(packageRoot, 'dist', 'cli.mjs');
  const list = listPhrases(phrases).map(({ name }) => `--phrase=${name}`);
  const device = options.device === undefined ? [] : ['--device', options.device];
  const read = [
    ...(options.ema ? ['--ema'] : []),
    ...(options.tokenizer === undefined ? [] : ['--tokenizer', options.tokenizer]),
    ...(options.maxPixels === undefined ? [] : ['--max-pixels', `${options.maxPixels}`]),
  ];
  const flags = [...list, ...device, ...read, '--runs', `${runs}`, '--threads', `${threads}`, '--json'];
  signal?.throwIfAborted();
  const child = startCommand(entry, ['measure', model, image, ...flags], ['ignore', 'pipe', 'pipe', 'ipc']);
  const stop = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  try {
    if (!child.stdout || !child.stderr) throw new InputError('The process that measures has no output.');
    const [stdout, stderr, [code, deadly]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ]);
    if (typeof deadly === 'string') throw new InputError(describeDeath(deadly, '`threads`'));
    if (code !== 0) throw new InputError(lastSentence(stderr) ?? `its process ended with ${code}`);
    const { origin: identity, ...measurement } = parseWith(measurementSchema, JSON.parse(stdout), 'The measurement');
    return { identity, ...measurement };
  } catch (error) {
    signal?.throwIfAborted();
    throw new InputError(`${model} could not be measured (${messageOf(error)}).`);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
