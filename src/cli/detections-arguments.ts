/** The words for the arguments of the commands that judge detections. */

/** `<detections>` */
export const DETECTIONS_ARGUMENT = "a JSON file in COCO's results format, as dino8 eval --save-detections writes it";

/** `<annotations>` */
export const ANNOTATIONS_ARGUMENT = 'the annotation file, or the data set that it belongs to; no picture is read';
