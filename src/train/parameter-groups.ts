/** Which weights the optimizer treats alike. */
import type { TrainingFamily } from '../models/training-family.ts';
import { type ParameterGroup, SCALE_SUFFIX, type TrainedParameter } from './parameter.ts';

export interface GroupSettings {
  readonly weightDecay: number;
  /** The learning rate of what was trained on other data before, image and text backbones, as a multiple of the others'. */
  readonly backboneRate: number;
  /** The learning rate of quantization scales as a multiple of the others'. */
  readonly scaleRate: number;
}

export function parameterGroups({ weightDecay, backboneRate, scaleRate }: GroupSettings): ParameterGroup[] {
  return [
    { name: 'backbone', rate: backboneRate, weightDecay },
    { name: 'backbone.undecayed', rate: backboneRate, weightDecay: 0 },
    { name: 'head', rate: 1, weightDecay },
    { name: 'head.undecayed', rate: 1, weightDecay: 0 },
    { name: SCALES, rate: scaleRate, weightDecay: 0 },
  ];
}

/** The group of quantization scales. */
export const SCALES = 'scales';

/**
 * The name of a parameter's group.
 *
 * @param traitsOf how the model family treats a weight with a name and a number of dimensions
 */
export function groupOf({ name, shape }: TrainedParameter, traitsOf: TrainingFamily['parameterTraits']): string {
  if (name.endsWith(SCALE_SUFFIX)) return SCALES;
  const { isBackbone, isDecayed } = traitsOf(name, shape.length);
  return `${isBackbone ? 'backbone' : 'head'}${isDecayed ? '' : '.undecayed'}`;
}
