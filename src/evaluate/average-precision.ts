/** COCO's average precision for boxes, exactly as pycocotools computes it. */
import type { CocoAnnotations } from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';
import { matchDetections, type ScoreOptions } from './matches.ts';
import { type CocoResult, scoreMatches } from './score-matches.ts';

/**
 * Scores detections against ground truth. As in pycocotools, detections in unknown images or of unknown categories do not
 * count.
 * @param truth the annotations
 * @param detections the detections in any order
 * @example
 * const { figures } = averagePrecision(await readDataset('instances.json'), detections);
 * console.log(`AP ${(100 * figures.AP).toFixed(2)}`);
 */
export function averagePrecision(
  truth: CocoAnnotations,
  detections: readonly CocoDetection[],
  options: ScoreOptions = {},
): CocoResult {
  return scoreMatches(matchDetections(truth, detections, options));
}
