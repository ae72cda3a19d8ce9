/** What a result says of itself: what was done, with which model, on which data set. Reports join only what belongs together. */
import { basename, extname, resolve } from 'node:path';
import { packageVersion } from '../base/package-root.ts';
import type { CocoDataset } from '../data/coco.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import { identifyLabels, type LabelsIdentity } from '../evaluate/dataset-identity.ts';
import { identifyDetections } from '../evaluate/detections-identity.ts';
import type { LoadedModel } from '../models/family.ts';
import { identifyModel } from '../models/package/model-identity.ts';

/** The form of results in files. */
export const RESULT_FORMAT = 'dino8-result-1';

/** The steps whose results a report takes. */
export const RESULT_KINDS = [
  'score',
  'errors',
  'bench',
  'measure',
  'sensitivity',
  'tune',
  'contribution',
  'vocabulary',
] as const;

/** Where a result comes from. */
export interface ResultOrigin {
  /** The form of the result. */
  readonly format: typeof RESULT_FORMAT;
  /** The step that made it; `score` stands for `evaluate` too. */
  readonly kind: (typeof RESULT_KINDS)[number];
  /** The version of dino8. */
  readonly version: string;
  /** The name of what was judged: that of the file of the model or of its detections, without its ending. */
  readonly subject: string;
  /** The name of the file of detections that was written, without its ending. */
  readonly detections?: string | undefined;
  /** The name of the detections, or of the model, that it was compared with, without the ending of the file. */
  readonly against?: string | undefined;
  /** The hash of the configuration and the tokenizer of the model; undefined for detections, or if the model carries none. */
  readonly network?: string | undefined;
  /** The hash of the weights that the model was made from; undefined for detections, or if the model does not tell. */
  readonly weights?: string | undefined;
  /** The hash of the model itself; undefined for detections. */
  readonly modelHash?: string | undefined;
  /** The hash of the detections that were judged; undefined if none were. */
  readonly detectionsHash?: string | undefined;
  /** The hash of the detections that they were compared with; undefined if they were compared with none. */
  readonly againstHash?: string | undefined;
  /** The labels that it was judged by; undefined if it was not judged by any. */
  readonly dataset?: LabelsIdentity | undefined;
}

/** What a step knows of its inputs. */
interface OriginParts {
  /** The path of what was judged. */
  readonly subject: string;
  readonly detections?: string | undefined;
  readonly against?: string | undefined;
  readonly model?: LoadedModel | undefined;
  /** The detections that were judged, and those that they were compared with. */
  readonly found?: readonly CocoDetection[] | undefined;
  readonly foundBefore?: readonly CocoDetection[] | undefined;
  readonly dataset?: CocoDataset | undefined;
}

/** Says where the result of a step comes from. */
export function originOf(
  kind: ResultOrigin['kind'],
  { subject, detections, against, model, found, foundBefore, dataset }: OriginParts,
): ResultOrigin {
  return {
    format: RESULT_FORMAT,
    kind,
    version: packageVersion(),
    subject: stemOf(subject),
    ...(detections !== undefined && { detections: stemOf(detections) }),
    ...(against !== undefined && { against: stemOf(against) }),
    ...(model && identifyModel(model.model)),
    ...(found && { detectionsHash: identifyDetections(found) }),
    ...(foundBefore && { againstHash: identifyDetections(foundBefore) }),
    ...(dataset && { dataset: identifyLabels(dataset, basename(resolve(dataset.source ?? 'data set'))) }),
  };
}

/** The name of a file without its folder and its ending; of a folder, its name. */
export function stemOf(path: string): string {
  const name = basename(resolve(path));
  const ending = extname(name);
  return /^\.(json|onnx|pth|pt|safetensors)$/i.test(ending) ? name.slice(0, -ending.length) || name : name;
}
