/**
 * What 8 bits bring at the published size: a checkpoint of that size is made with random weights, converted, quantized and
 * measured. Its files are large, so they are removed as soon as they are not needed.
 */
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../base/errors.ts';
import { makeDirectory, sizeOf } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { median } from '../base/statistics.ts';
import { bundledCalibration } from '../data/bundled.ts';
import { phraseCategories } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { parsePreprocessing } from '../data/preprocessing.ts';
import type { Size } from '../data/size.ts';
import { findFamily } from '../models/families.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import type { PublishedSize, PublishedSizeVariant } from '../report/published-size.ts';
import { defaultThreads, type ThreadOptions } from '../runtime/threads.ts';
import { writeRandomCheckpoint } from '../train/write-random-checkpoint.ts';
import { convert } from './convert-step.ts';
import { measureInTurns } from './in-turns.ts';
import { measureInProcess } from './measure-step.ts';
import { quantize } from './quantize-step.ts';

/** The recipe: the fastest at this size. */
const RECIPE = 'fast';
/** Images that ranges are observed on. Speed and memory do not depend on the ranges. */
const CALIBRATION_IMAGES = 2;
/** The number of processes in which each model is measured. */
const ROUNDS = 2;
/** Timed runs of each of the processes. */
const RUNS = 2;
/** The phrases of the prompt. */
const PHRASES = 20;
const SEED = 0;
/** The checkpoint and its FP32 model are on the disk together, each with 690 MB; then the INT8 model beside the latter. */
export const NEEDED_DISK = 1.6e9;
/** Memory that must be free: FP32 and INT8 are in memory together when the model is quantized. */
const NEEDED_MEMORY = 4e9;

/** Options of `measurePublishedSize`. */
export interface PublishedSizeOptions extends ThreadOptions {
  /** The folder for the files, which is made, and removed at the end. */
  readonly folder: string;
  /** The checkpoint whose tokenizer and preprocessing are taken. */
  readonly companions: CheckpointPackage;
  /** The contents of `config.json`; those of the published size by default. */
  readonly config?: object | undefined;
  /** The size of the picture; 480x640 by default. */
  readonly size?: Size | undefined;
  /** The number of processes in which each model is measured; 2 by default. */
  readonly rounds?: number | undefined;
  /** Begins the next phase, and returns the progress and the signal for it. */
  readonly phase: (name: string) => WorkOptions;
}

/** The number of phases of `measurePublishedSize`. */
export const PUBLISHED_SIZE_PHASES = 4;

/** Why the machine cannot measure a model of the published size, as a sentence; undefined if it can. */
export async function missingResources(folder: string): Promise<string | undefined> {
  const lacks = (what: string, needed: number, free: number) =>
    `The model of the published size is left out: it needs ${(needed / 1e9).toFixed(1)} GB of ${what}, and ${(free / 1e9).toFixed(1)} GB are free.`;
  const memory = process.availableMemory();
  if (memory < NEEDED_MEMORY) return lacks('memory', NEEDED_MEMORY, memory);
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize < NEEDED_DISK ? lacks(`disk in ${folder}`, NEEDED_DISK, bavail * bsize) : undefined;
}

/**
 * Makes, quantizes and measures a model of the published size with random weights.
 * @throws InputError if a file cannot be written or a model cannot be measured; the reason of the signal if it was aborted
 */
export async function measurePublishedSize(options: PublishedSizeOptions): Promise<PublishedSize> {
  const { folder } = options;
  // An earlier run may have been killed.
  await rm(folder, { recursive: true, force: true });
  await makeDirectory(folder);
  try {
    return await measureIn(folder, options);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureIn(
  folder: string,
  {
    companions,
    config,
    size = { height: 480, width: 640 },
    rounds = ROUNDS,
    phase,
    threads = defaultThreads(),
  }: PublishedSizeOptions,
): Promise<PublishedSize> {
  const at = (name: string) => join(folder, name);
  const dataset = await readDataset(bundledCalibration());
  const [first] = dataset.images;
  if (!first) throw new InputError('The bundled data have no images.');
  const drawing = phase('draw random weights of the published size');
  const parameters = await writeRandomCheckpoint(publishedCompanions(companions, config, size), at('checkpoint'), {
    seed: SEED,
    signal: drawing.signal,
    onBytes: (done, total) =>
      drawing.onProgress?.({ label: 'Megabytes', done: Math.round(done / 1e6), total: Math.round(total / 1e6) }),
  });
  await convert({ ...phase('convert it to FP32'), checkpoint: at('checkpoint'), output: at('fp32.onnx'), threads });
  await rm(at('checkpoint'), { recursive: true });
  await quantize({
    ...phase(`quantize it by ${RECIPE}`),
    model: at('fp32.onnx'),
    output: at('int8.onnx'),
    recipe: RECIPE,
    calibration: bundledCalibration(),
    calibrationImages: CALIBRATION_IMAGES,
    threads,
  });
  const models = [
    { name: 'FP32', path: at('fp32.onnx') },
    { name: `INT8 (${RECIPE})`, path: at('int8.onnx') },
  ];
  const phrases = categoryPhrases(phraseCategories(dataset)).slice(0, PHRASES);
  const measuring = phase('measure FP32 and INT8 in turns');
  const timings = await measureInTurns(
    models,
    rounds,
    ({ path }) =>
      measureInProcess({
        model: path,
        image: dataset.pathOf(first),
        phrases,
        runs: RUNS,
        threads,
        signal: measuring.signal,
      }),
    measuring,
  );
  const variants = await Promise.all(
    models.map(async ({ name, path }, index): Promise<PublishedSizeVariant> => {
      const measured = timings[index] ?? [];
      const runSeconds = measured.flatMap((timing) => timing.runSeconds);
      return {
        name,
        fileBytes: await sizeOf(path),
        peakMemoryBytes: median(measured.map(({ peakMemoryBytes }) => peakMemoryBytes)),
        medianSeconds: median(runSeconds),
        runSeconds,
      };
    }),
  );
  return { parameters, ...size, threads, seed: SEED, variants };
}

/** What a checkpoint of the published size has beside its weights: the companions of another one, with its own sizes. */
function publishedCompanions(companions: CheckpointPackage, given: object | undefined, { height, width }: Size) {
  const { source } = companions;
  const definition = findFamily(companions.files.config, source);
  const config = given ?? definition.publishedConfig;
  const settings = {
    ...(companions.files.preprocessing as object), // a JSON object, as read
    size: { shortest_edge: Math.min(height, width), longest_edge: Math.max(height, width) },
  };
  const preprocessing = parsePreprocessing(settings, source);
  return {
    source,
    preprocessing,
    family: definition.open(config, preprocessing, source),
    files: { ...companions.files, config, preprocessing: settings },
  };
}
