/** Where the statistics for static parts, and the images for techniques, come from: options that commands share. */
import type { Command } from 'commander';
import { type CalibrationPlan, planCalibration } from '../data/calibration-plan.ts';
import { openCoco } from '../data/coco.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { checkRanges, readRanges } from '../quant/observe/ranges-file.ts';
import { wholeNumber } from './terminal.ts';

export interface CalibrationSource {
  readonly ranges?: string;
  readonly calibration?: string;
  readonly calibrationImages: number;
  readonly seed: number;
}

const DEFAULT_IMAGES = 64;

/** `withSeed`: false where the command has a seed anyway. */
export function addCalibrationOptions(command: Command, withSeed = true): Command {
  const source = command
    .option('--ranges <file>', 'what dino8 calibrate found; needed, or --calibration, if the recipe has static parts')
    .option('--calibration <coco>', "images in COCO's layout to calibrate on now; techniques may need them besides")
    .option('--calibration-images <count>', 'how many of them', wholeNumber('--calibration-images'), DEFAULT_IMAGES);
  return withSeed
    ? source.option('--seed <number>', 'what their choice follows from', wholeNumber('--seed', 0), 0)
    : source;
}

/** @throws InputError if the ranges are of another model */
export async function findCalibration(
  source: ModelPackage,
  { ranges, calibration, calibrationImages, seed }: CalibrationSource,
): Promise<{ plan: CalibrationPlan | undefined; statistics: Statistics | undefined }> {
  const dataset = calibration === undefined ? undefined : await openCoco(calibration);
  const plan = dataset && planCalibration(dataset, Math.min(calibrationImages, dataset.images.length), seed);
  if (ranges === undefined) return { plan, statistics: undefined };
  const found = await readRanges(ranges);
  checkRanges(found, modelHash(source.model), ranges);
  return { plan, statistics: found.statistics };
}
