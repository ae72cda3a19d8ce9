/** Where the steps take calibration from: a statistics file, or images that are observed now. */
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import type { CalibrationPlan } from '../data/calibration-plan.ts';
import type { Phrases } from '../data/phrases.ts';
import type { LoadedModel } from '../models/family.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import { type Calibration, checkStatistics, readStatistics } from '../quant/observe/statistics-file.ts';
import { checkFinished } from './finished-calibration.ts';
import { type InputSource, openInputs, type PictureOptions } from './samples.ts';
import type { DatasetOptions } from './sources.ts';

/** Options of every step that may need calibration. */
export interface CalibrationOptions extends DatasetOptions {
  /** A statistics file that `calibrate` wrote, or the result of `readStatistics` for it. */
  readonly statistics?: string | Calibration | undefined;
  /** Images or other inputs to calibrate on now. Techniques such as GPTQ need them even if there are statistics. */
  readonly calibration?: InputSource | undefined;
  /** How pictures become the input, for a model that is no detector of dino8. */
  readonly pictures?: PictureOptions | undefined;
  /** The number of these images, chosen at random; 64 by default, or all if there are fewer. */
  readonly calibrationImages?: number | undefined;
  /** The seed of the random choice of images and prompts; 0 by default. */
  readonly seed?: number | undefined;
  /** Phrases for the prompts, in place of labels: `calibration` is then a folder of pictures without any. */
  readonly calibrationPhrases?: Phrases | undefined;
}

/** The defaults of `CalibrationOptions`. */
export const CALIBRATION_DEFAULTS: Defaults<CalibrationOptions, 'calibrationImages' | 'seed'> = {
  calibrationImages: 64,
  seed: 0,
};

/** Calibration with its files read and its images chosen. */
export interface ResolvedCalibration {
  /** The images and prompts, or the samples, to run the model on. */
  readonly plan: CalibrationPlan | SampleSource | undefined;
  /** The statistics that are known already. */
  readonly statistics: Statistics | undefined;
}

/**
 * Reads the statistics and plans the images that the options name.
 *
 * @throws InputError if the statistics belong to another model, to one part of a calibration only, or to an interrupted one
 */
export async function resolveCalibration(
  source: LoadedModel,
  options: CalibrationOptions,
): Promise<ResolvedCalibration> {
  const { calibrationImages = CALIBRATION_DEFAULTS.calibrationImages, seed = CALIBRATION_DEFAULTS.seed } = options;
  const { calibration, calibrationPhrases: phrases, pictures, statistics, onNotice } = options;
  const { onProgress, signal, skipUnreadable, onLeftOut } = options;
  const checks = { onNotice, onProgress, signal, skipUnreadable, onLeftOut };
  if (phrases && calibration === undefined)
    throw new UsageError('`phrases` are for the pictures of `calibration`; give these too.');
  const plan =
    calibration === undefined
      ? undefined
      : await openInputs(source, calibration, {
          ...checks,
          count: calibrationImages,
          seed,
          pictures,
          phrases,
          of: 'calibration',
        });
  if (statistics === undefined) return { plan, statistics: undefined };
  const found = typeof statistics === 'string' ? await readStatistics(statistics, { onNotice }) : statistics;
  const name = typeof statistics === 'string' ? statistics : 'The calibration';
  checkStatistics(found, modelHash(source.model), name);
  checkFinished(found, name);
  return { plan, statistics: found.statistics };
}
