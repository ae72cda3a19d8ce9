/** Calibration on a data set or on samples. The state is kept in a file, so that an interrupted calibration continues where it was. */

import { unlink } from 'node:fs/promises';
import { checkValue, listOf, objectWith, text } from '../base/check-options.ts';
import { InputError } from '../base/errors.ts';
import { exists } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { reserve } from '../base/reserve.ts';
import type { CalibrationPlan } from '../data/calibration-plan.ts';
import { checkLoadedArgument, type LoadedModel } from '../models/family.ts';
import { modelHash } from '../onnx/hash.ts';
import { calibrate } from '../quant/observe/calibrate.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import {
  type Calibration,
  type CalibrationHead,
  readStatistics,
  type Shard,
  writeStatistics,
} from '../quant/observe/statistics-file.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { samplesOf } from './samples.ts';

export interface CalibrateDatasetOptions extends WorkOptions, ThreadOptions {
  /** The part of the plan to do, numbered from 1; all of it by default. */
  readonly shard?: Shard | undefined;
  /** The file that keeps the state; nothing is kept without it. */
  readonly partial?: string | undefined;
  /** Leaves out images that cannot be read; by default such an image is an error. */
  readonly skipUnreadable?: boolean | undefined;
  /** Called with a sentence for each image that cannot be read, which is then left out. */
  readonly onLeftOut?: ((sentence: string) => void) | undefined;
}

/** Milliseconds between two saves of the state. */
const SAVE_EVERY = 5_000;

/**
 * Collects the statistics of values of a model on the images and prompts of a plan, or on samples.
 * @param values the names of the values
 * @throws InputError if an image cannot be read, or if the kept state belongs to another calibration
 * @example
 * const { statistics } = await calibrateDataset(source, plan.valuesToObserve, planCalibration(dataset, 64, 0));
 */
export async function calibrateDataset(
  source: LoadedModel,
  values: readonly string[],
  plan: CalibrationPlan | SampleSource,
  options: CalibrateDatasetOptions = {},
): Promise<Calibration> {
  checkLoadedArgument(source);
  checkValue('The values', listOf('a list of names', text), values);
  checkValue('The plan', objectWith('what `planCalibration` returned, or samples', 'key'), plan);
  const { shard, partial, signal } = options;
  await using _ = partial === undefined ? undefined : await reserve(partial);
  const total = 'items' in plan ? plan.items.length : plan.total;
  const places = Array.from({ length: total }, (_, place) => place);
  const all = shard ? places.filter((place) => place % shard.count === shard.index - 1) : places;
  const head = { model: modelHash(source.model), plan: plan.key, images: total, shard: shard ?? null };
  const kept = partial === undefined ? undefined : await readKept(partial, head, values);
  const skipped = [...(kept?.skipped ?? [])];
  let done = kept?.done ?? 0;
  let last: Calibration | undefined = kept;
  let saved = performance.now();
  const save = async () => {
    if (partial !== undefined && last) await writeStatistics(last, partial);
    saved = performance.now();
  };
  const placeInShard = new Map(all.map((place, index) => [place, index + 1]));
  const left = new Set(all.slice(done));
  const leaveOut = (path: string, reason: string) => {
    skipped.push(path);
    if (!options.skipUnreadable) options.onLeftOut?.(`${reason.replace(/\.$/, '')}; left out.`);
  };
  const samples = samplesOf(source, plan, {
    onUnreadable: options.skipUnreadable || options.onLeftOut ? leaveOut : undefined,
  });
  try {
    const statistics = await calibrate(source.model, values, samples, {
      ...options,
      rules: source.family.observation,
      accept: (place) => left.has(place),
      expected: all.length,
      done,
      ...(kept && { statistics: kept.statistics }),
      onSample: async (place, known) => {
        // Images that were skipped before this one are done as well.
        done = placeInShard.get(place) ?? done;
        last = { ...head, done, skipped: [...skipped], statistics: known };
        if (performance.now() - saved > SAVE_EVERY) await save();
      },
    });
    return { ...head, done: all.length, skipped: skipped.toSorted(), statistics };
  } catch (error) {
    if (signal?.aborted) await save();
    throw error;
  }
}

/** Removes the state. Call it once the result is on disk. */
export async function removeKept(partial: string): Promise<void> {
  if (await exists(partial)) await unlink(partial);
}

async function readKept(
  path: string,
  head: Omit<CalibrationHead, 'done' | 'skipped'>,
  values: readonly string[],
): Promise<Calibration | undefined> {
  if (!(await exists(path))) return undefined;
  const kept = await readStatistics(path);
  const same =
    kept.model === head.model &&
    kept.plan === head.plan &&
    JSON.stringify(kept.shard) === JSON.stringify(head.shard) &&
    [...kept.statistics.keys()].join() === values.join();
  if (!same)
    throw new InputError(
      `${path} belongs to another calibration; remove it to start anew, or choose another \`output\`.`,
    );
  return kept;
}
