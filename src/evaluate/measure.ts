/** Latency and memory of a model, measured in the process that calls this: give it one of its own. */
import { peakMemory } from '../base/peak-memory.ts';
import type { WorkOptions } from '../base/progress.ts';
import { median } from '../base/statistics.ts';
import { readImage } from '../data/image.ts';
import { Detector } from '../detect/detector.ts';
import { readPackage } from '../models/package/package.ts';

export interface Measurement {
  /** Reading the model and preparing it to run. */
  readonly loadSeconds: number;
  /** The model alone, without decoding and preprocessing, once per image and prompt. */
  readonly runSeconds: readonly number[];
  readonly medianSeconds: number;
  /** The largest resident size of the process so far. */
  readonly peakMemoryBytes: number;
  readonly threads: number;
}

const WARM_UP = 3;

export interface MeasureOptions extends WorkOptions {
  readonly runs: number;
  readonly threads: number;
}

/** Loads a model and times `runs` runs on one image after a few to warm up. */
export async function measure(
  modelPath: string,
  imagePath: string,
  phrases: readonly string[] | string,
  options: MeasureOptions,
): Promise<Measurement> {
  const start = performance.now();
  await using detector = await Detector.create(await readPackage(modelPath), { threads: options.threads });
  const prompt = await detector.encodePrompt(phrases);
  const loadSeconds = (performance.now() - start) / 1000;
  const prepared = await detector.prepare(await readImage(imagePath));
  for (let run = 0; run < WARM_UP; run++) await detector.time(prepared, prompt);
  const runSeconds: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ label: 'Measuring', done: run, total: options.runs });
    runSeconds.push(await detector.time(prepared, prompt));
  }
  options.onProgress?.({ label: 'Measuring', done: options.runs, total: options.runs });
  return {
    loadSeconds,
    runSeconds,
    medianSeconds: median(runSeconds),
    peakMemoryBytes: peakMemory(),
    threads: options.threads,
  };
}
