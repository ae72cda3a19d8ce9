/** What a report compares: the same model in several precisions, measured the same way. */
import type { CocoFigures } from '../evaluate/average-precision.ts';

export interface Variant {
  readonly name: string;
  readonly description: string;
  readonly file: string;
  readonly fileBytes: number;
  readonly peakMemoryBytes: number;
  readonly medianSeconds: number;
  /** Every timed run. */
  readonly runSeconds: readonly number[];
  readonly figures: CocoFigures;
}

/** The average precision of a variant against another's, in COCO's points. */
export function pointsAgainst(variant: Variant, reference: Variant, figure: 'AP' | 'AP50'): number {
  return (variant.figures[figure] - reference.figures[figure]) * 100;
}
