/** The variants that a report compares: the same model in several precisions, measured in the same way. */
import type { Estimate } from '../base/statistics.ts';
import type { FigureMap } from '../evaluate/bootstrap.ts';
import type { CocoFigures } from '../evaluate/score-matches.ts';
import type { PlanSummary } from '../quant/plan-summary.ts';

/** One variant with its measurements. */
export interface Variant {
  /** The name of the recipe, or `FP32`. */
  readonly name: string;
  /** One sentence about it. */
  readonly description: string;
  /** The path of the model. */
  readonly file: string;
  /** The size of the file. */
  readonly fileBytes: number;
  /** The peak memory of a process that runs the model and nothing else. */
  readonly peakMemoryBytes: number;
  /** The median time of a run. */
  readonly medianSeconds: number;
  /** The time of each run. */
  readonly runSeconds: readonly number[];
  /** COCO's figures on the validation images. */
  readonly figures: CocoFigures;
  /** The figures with their 95 % confidence intervals; those are missing for which there are too few images. */
  readonly intervals: FigureMap<Estimate>;
  /** The change of each figure against the reference, with its interval; undefined for the reference itself. */
  readonly change?: FigureMap<Estimate> | undefined;
  /** The summary of the plan that it was quantized by; undefined for the float model. */
  readonly plan?: PlanSummary | undefined;
  /** The agreement of its outputs with those of the float model; undefined for the float model itself. */
  readonly agreement?: Agreement | undefined;
}

/** How well the outputs of a quantized model agree with those of the float model, on the same inputs. */
export interface Agreement {
  /** The number of inputs. */
  readonly inputs: number;
  /** The number of things that were compared on them, such as boxes. */
  readonly count: number;
  /** The mean of each figure, by its key. */
  readonly figures: Readonly<Record<string, number>>;
}
