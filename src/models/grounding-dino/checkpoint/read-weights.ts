/** Reads the network's tensors from checkpoints in every naming that programs give them. */
import { InputError } from '../../../base/errors.ts';
import { DataType } from '../../../onnx/types.ts';
import { type ChosenWeights, chooseWeights, type Naming, type WeightOptions } from '../../checkpoint/choose-weights.ts';
import type { WeightSet } from '../../checkpoint/weight-sets.ts';
import { huggingFaceCutNaming, huggingFaceNaming } from './hugging-face-names.ts';
import { mmdetectionNaming } from './mmdetection-names.ts';
import { originalNaming } from './original-names.ts';

/** Types of elements that no weight of this network has. */
const INTEGERS: ReadonlySet<DataType> = new Set([
  DataType.BOOL,
  DataType.INT8,
  DataType.UINT8,
  DataType.INT16,
  DataType.INT32,
  DataType.INT64,
]);

const NAMINGS: readonly Naming[] = [huggingFaceNaming, originalNaming, mmdetectionNaming, huggingFaceCutNaming];

/**
 * Chooses the weights to use and gives them Hugging Face's names.
 *
 * @throws InputError if there are none of this family, or if they are integers; UsageError if an average is asked for and there is none
 */
export function networkTensors(sets: readonly WeightSet[], source: string, options: WeightOptions): ChosenWeights {
  const chosen = chooseWeights(sets, NAMINGS, 'GroundingDINO, MM-Grounding-DINO and LLMDet', source, options);
  for (const [name, { type }] of chosen.tensors)
    if (INTEGERS.has(type))
      throw new InputError(
        `${source}: ${name} is of the type ${DataType[type]}, as in models that other programs quantized, whose scales dino8 does not read; save the model in float16 or float32.`,
      );
  return chosen;
}
