/** The options of the commands that judge parts of a model, `sensitivity` and `tune`, as their steps take them. */
import { type CalibrationDatasetValues, type DatasetValues, separateDataset } from './dataset-options.ts';
import { type PictureValues, separatePictures } from './picture-options.ts';
import { statisticsOf } from './shared-options.ts';

/** The values that say what a model is judged and calibrated by. */
type JudgedValues = PictureValues &
  DatasetValues &
  CalibrationDatasetValues & {
    readonly statistics?: string | undefined;
    readonly ranges?: string | undefined;
    readonly calibration?: string | undefined;
  };

/** @param dataset the path of the images or inputs by which the model is judged */
export function judgedBy<Options extends JudgedValues>(given: Options, dataset: string) {
  const { pictures, others } = separatePictures(given);
  const { named, calibration, others: rest } = separateDataset(others);
  const { ranges, ...options } = rest;
  const statistics = statisticsOf({ statistics: options.statistics, ranges });
  return { ...options, dataset: named(dataset), calibration, pictures, statistics };
}
