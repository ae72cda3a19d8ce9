/** The variants that a report compares: the same model in several precisions, measured in the same way. */
import type { CocoFigures } from '../evaluate/average-precision.ts';

/** One variant with its measurements. */
export interface Variant {
  readonly name: string;
  readonly description: string;
  /** The path of the model. */
  readonly file: string;
  readonly fileBytes: number;
  readonly peakMemoryBytes: number;
  readonly medianSeconds: number;
  /** The time of each run. */
  readonly runSeconds: readonly number[];
  readonly figures: CocoFigures;
}

/** The difference in average precision between a variant and the reference, in points (hundredths). */
export function pointsAgainst(variant: Variant, reference: Variant, figure: 'AP' | 'AP50'): number {
  return (variant.figures[figure] - reference.figures[figure]) * 100;
}
