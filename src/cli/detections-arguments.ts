/** The arguments of the commands that judge detections, and how their labels are named. */
import { Option } from '@commander-js/extra-typings';
import { type LabelValues, separateDataset } from './dataset-options.ts';

/** `<detections>` */
export const DETECTIONS_ARGUMENT = "a JSON file in COCO's results format, as dino8 eval --save-detections writes it";

/** `--merge` */
export const mergeOption = () =>
  new Option(
    '--merge <files...>',
    'more files of detections, of other images, as dino8 eval --shard writes them; all files count as one',
  );

/** The files of detections that a command names by its argument and by `--merge`. */
export const allDetections = (first: string, others: readonly string[] = []): string | readonly string[] =>
  others.length === 0 ? first : [first, ...others];

/** `<annotations>` */
export const ANNOTATIONS_ARGUMENT = 'the annotation file, or the data set that it belongs to; no picture is read';

/** The options of a step that judges detections by the labels at `annotations`. Reads what `addLabelOptions` adds. */
export function withLabels<Options extends LabelValues>(given: Options, annotations: string) {
  const { named, others } = separateDataset(given);
  // No picture is read, so that none is left out.
  const { onLeftOut: _, ...options } = others;
  return { ...options, annotations: named(annotations) };
}
