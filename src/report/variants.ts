/** The variants that a report compares: the same model in several precisions, measured in the same way. */
import type { Estimate } from '../base/statistics.ts';
import type { FigureMap } from '../evaluate/bootstrap.ts';
import type { ErrorAnalysis } from '../evaluate/errors/error-gains.ts';
import type { ByGroup, ChangedCount, FoundCount } from '../evaluate/errors/found-objects.ts';
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
  /** The median time of a run in each round, in which all variants took turns. */
  readonly roundSeconds: readonly number[];
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
  /** The causes of its errors, and the objects that it finds. */
  readonly errors?: VariantErrors | undefined;
}

/** The errors of a variant. */
export interface VariantErrors {
  /** The score from which a box counts for `groups` and `change`. */
  readonly threshold: number;
  /** The errors by their causes, over all scores. */
  readonly analysis: ErrorAnalysis;
  /** The objects that are found, by size and occlusion. */
  readonly groups: ByGroup<FoundCount>;
  /** The categories that are taken for others, the most frequent first; undefined if that is not known. */
  readonly confusions?: readonly NamedConfusion[] | undefined;
  /** The objects that only one of the reference and this variant finds; undefined for the reference. */
  readonly change?: ErrorChange | undefined;
}

/** The objects that only one of the reference and a variant finds. */
export interface ErrorChange extends ChangedCount {
  /** The objects of each group. */
  readonly groups: ByGroup<ChangedCount>;
  /** The median of how far the scores of lost objects were above the threshold; undefined if none is lost. */
  readonly lostMargin?: number | undefined;
  /** The categories with most changes, those with most first; undefined if that is not known. */
  readonly categories?: readonly NamedChange[] | undefined;
  /** The images with most changes, by the names of their files; undefined if that is not known. */
  readonly images?: readonly NamedChange[] | undefined;
}

/** The objects of one category, or in one image, that only one of the reference and a variant finds. */
export interface NamedChange extends ChangedCount {
  /** The name of the category, or of the file. */
  readonly name: string;
}

/** Boxes of one category on objects of another. */
export interface NamedConfusion {
  /** The category of the object. */
  readonly object: string;
  /** The category of the boxes. */
  readonly detected: string;
  /** The number of boxes. */
  readonly count: number;
}

/** A variant of which not everything was measured. */
export type ReportedVariant = Pick<Variant, 'name'> & {
  readonly [Field in Exclude<keyof Variant, 'name'>]?: Variant[Field] | undefined;
};

/** How well the outputs of a quantized model agree with those of the float model, on the same inputs. */
export interface Agreement {
  /** The number of inputs. */
  readonly inputs: number;
  /** The number of things that were compared on them, such as boxes. */
  readonly count: number;
  /** The mean of each figure, by its key. */
  readonly figures: Readonly<Record<string, number>>;
}
