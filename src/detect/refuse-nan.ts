/** A model that computes numbers that are none (NaN) would find nothing, whatever is in the image. */
import type { DetectionResults } from '../models/detection-family.ts';
import type { NamedOutputs } from '../models/named-outputs.ts';
import { RuntimeError } from '../runtime/error.ts';
import { floatData } from '../runtime/tensor.ts';

/** @throws RuntimeError if a result of the half `detect` has a NaN. Minus infinity is the logit of padded tokens. */
export function refuseNaN(outputs: NamedOutputs, { logits, boxes }: DetectionResults): void {
  for (const name of [logits, boxes])
    if (floatData(outputs.get(name)).includes(Number.NaN))
      throw new RuntimeError(
        `The model computes NaN in its result "${name}", so that nothing can be said of boxes: its weights are damaged, or its numbers are too large for their type; make it again from a checkpoint that works.`,
      );
}
