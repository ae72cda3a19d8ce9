/** Reads the network's tensors from checkpoints in every naming that programs give them. */
import { type ChosenWeights, chooseWeights, type Naming, type WeightOptions } from '../../checkpoint/choose-weights.ts';
import type { WeightSet } from '../../checkpoint/weight-sets.ts';
import { huggingFaceCutNaming, huggingFaceNaming } from './hugging-face-names.ts';
import { mmdetectionNaming } from './mmdetection-names.ts';
import { originalNaming } from './original-names.ts';

const NAMINGS: readonly Naming[] = [huggingFaceNaming, originalNaming, mmdetectionNaming, huggingFaceCutNaming];

/**
 * Chooses the weights to use and gives them Hugging Face's names.
 *
 * @throws InputError if there are none of this family; UsageError if an average is asked for and there is none
 */
export function networkTensors(sets: readonly WeightSet[], source: string, options: WeightOptions): ChosenWeights {
  return chooseWeights(sets, NAMINGS, 'GroundingDINO, MM-Grounding-DINO and LLMDet', source, options);
}
