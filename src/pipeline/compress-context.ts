/** The state that the phases of `compress` share. */
import type { WorkOptions } from '../base/progress.ts';
import type { CalibrationPlan } from '../data/calibration-plan.ts';
import type { CocoDataset } from '../data/coco.ts';
import type { DatasetIdentity } from '../evaluate/dataset-identity.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { PlanSummary } from '../quant/plan-summary.ts';
import type { Recipe } from '../quant/recipe.ts';
import type { ResolvedCompress } from './compress-options.ts';
import type { StepRecords } from './step-records.ts';

/** A variant to make: the float model, a model by a recipe, or a trained one. */
export interface Planned {
  readonly name: string;
  readonly description: string;
  readonly path: string;
  /** Undefined for the float model. */
  readonly recipe: Recipe | undefined;
  readonly isTrained: boolean;
}

/** A variant whose file is written. */
export interface Made extends Planned {
  /** The hash of its model. */
  readonly model: string;
  /** The summary of the plan that it was quantized by; undefined for the float model. */
  readonly plan?: PlanSummary | undefined;
}

/** The inputs of all phases. */
export interface Context {
  readonly options: ResolvedCompress;
  readonly records: StepRecords;
  readonly float: ModelPackage;
  readonly state: string;
  readonly calibration: CocoDataset;
  readonly plan: CalibrationPlan;
  readonly scoring: CocoDataset;
  /** The identity of the images that are scored, found once for all variants. */
  readonly scoringIdentity: DatasetIdentity;
  /** Begins the next phase, and returns the progress and the signal for it. */
  readonly phase: (name: string) => WorkOptions;
}

/** The element at an index that is known to exist. */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`there is no element ${index} of ${items.length}`);
  return item;
}
