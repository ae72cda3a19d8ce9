/** The options of a reader of data sets, which are the same for every layout. */

import { abortSignal, callback, type OptionSchemas, oneOf, optional, text, truth } from '../../base/check-options.ts';
import type { WorkOptions } from '../../base/progress.ts';

/** The purpose that images are read for. It decides which split is read if a data set has several and none is named. */
export type Purpose = 'training' | 'scoring';

/** Options of `readDataset`. */
export interface ReadDatasetOptions extends WorkOptions {
  /** The file of the labels: a JSON file in COCO's format, or the data.yaml of a YOLO data set. It is looked for by default. */
  readonly annotations?: string | undefined;
  /** The folder below which the pictures are; by default it is found by the layout. */
  readonly imagesRoot?: string | undefined;
  /** The split of a data set that has several, such as `train`, `val` or `test`. */
  readonly split?: string | undefined;
  /** Decides the split of a YOLO or Pascal VOC data set if none is named: `train` or `val`. Scoring by default. */
  readonly purpose?: Purpose | undefined;
  /** Takes pictures as they are stored, without the rotation that their EXIF orientation asks for. */
  readonly ignoreOrientation?: boolean | undefined;
  /** Takes the names of categories without brackets and underscores, as those of LVIS are written: see `cleanName`. */
  readonly cleanNames?: boolean | undefined;
  /** Called with one sentence for each thing that was left out or taken in a way that the caller should know. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

/** What the options of `readDataset` must be. */
export const readDatasetSchemas: OptionSchemas<ReadDatasetOptions> = {
  annotations: optional(text),
  imagesRoot: optional(text),
  split: optional(text),
  purpose: optional(oneOf(['training', 'scoring'])),
  ignoreOrientation: optional(truth),
  cleanNames: optional(truth),
  onNotice: optional(callback),
  onProgress: optional(callback),
  signal: optional(abortSignal),
};
