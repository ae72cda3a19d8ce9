/** The arguments of the commands that judge detections, and how their labels are named. */
import { type LabelValues, separateDataset } from './dataset-options.ts';

/** `<detections>` */
export const DETECTIONS_ARGUMENT = "a JSON file in COCO's results format, as dino8 eval --save-detections writes it";

/** `<annotations>` */
export const ANNOTATIONS_ARGUMENT = 'the annotation file, or the data set that it belongs to; no picture is read';

/** The options of a step that judges detections by the labels at `annotations`. Reads what `addLabelOptions` adds. */
export function withLabels<Options extends LabelValues>(given: Options, annotations: string) {
  const { named, others } = separateDataset(given);
  // No picture is read, so that none is left out.
  const { onLeftOut: _, ...options } = others;
  return { ...options, annotations: named(annotations) };
}
