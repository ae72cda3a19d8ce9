/** Where the statistics for static parts, and the images for techniques, come from: options that commands share. */
import { type Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { type CalibrationPlan, planCalibration } from '../data/calibration-plan.ts';
import { openCoco } from '../data/coco.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { checkStatistics, readStatistics } from '../quant/observe/statistics-file.ts';
import { wholeNumber } from './terminal.ts';

export interface CalibrationSource {
  readonly statistics?: string;
  /** The former name of `statistics`. */
  readonly ranges?: string;
  readonly calibration?: string;
  readonly calibrationImages: number;
  readonly seed: number;
}

const DEFAULT_IMAGES = 64;

/** `withSeed`: false where the command has a seed anyway. */
export function addCalibrationOptions(command: Command, withSeed = true): Command {
  const source = command
    .option(
      '--statistics <file>',
      'statistics file that dino8 calibrate wrote; recipes with static layers need it or --calibration',
    )
    .addOption(new Option('--ranges <file>', 'former name of --statistics').hideHelp())
    .option('--calibration <coco>', "images in COCO's layout to calibrate on now; techniques may need them besides")
    .option('--calibration-images <count>', 'how many of them', wholeNumber('--calibration-images'), DEFAULT_IMAGES);
  return withSeed
    ? source.option('--seed <number>', 'what their choice follows from', wholeNumber('--seed', 0), 0)
    : source;
}

/** Writes a notice about something that the next version will not accept. */
export function printNotice(notice: string): void {
  process.stderr.write(`dino8: ${notice}\n`);
}

/** The path of the statistics file, under the name of the option before as well. */
function statisticsPath({ statistics, ranges }: CalibrationSource): string | undefined {
  if (ranges === undefined) return statistics;
  if (statistics !== undefined)
    throw new UsageError('--statistics and --ranges are the same option; give --statistics only.');
  printNotice('--ranges is now called --statistics; the next version will not accept the former name.');
  return ranges;
}

/** @throws InputError if the statistics are of another model */
export async function findCalibration(
  source: ModelPackage,
  options: CalibrationSource,
): Promise<{ plan: CalibrationPlan | undefined; statistics: Statistics | undefined }> {
  const { calibration, calibrationImages, seed } = options;
  const dataset = calibration === undefined ? undefined : await openCoco(calibration);
  const plan = dataset && planCalibration(dataset, Math.min(calibrationImages, dataset.images.length), seed);
  const path = statisticsPath(options);
  if (path === undefined) return { plan, statistics: undefined };
  const found = await readStatistics(path, { onNotice: printNotice });
  checkStatistics(found, modelHash(source.model), path);
  return { plan, statistics: found.statistics };
}
