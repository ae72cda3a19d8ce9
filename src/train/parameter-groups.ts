/** The groups of parameters that the optimizer treats alike: backbones and the rest, with and without weight decay, and scales. */
import type { ParameterTraits } from '../models/training-family.ts';
import type { ParameterGroup } from './parameter.ts';

/** Settings of the groups. */
export interface GroupSettings {
  /** The weight decay of AdamW, for the weights that are decayed. */
  readonly weightDecay: number;
  /** The learning rate of the backbones, which were trained on other data before, as a multiple of the others'. */
  readonly backboneRate: number;
  /** The learning rate of quantization scales, as a multiple of the others'. */
  readonly scaleRate: number;
}

/** The name of the group of quantization scales. */
export const SCALES = 'scales';

/** All groups, in the order in which their parameters are stored. */
export function parameterGroups({ weightDecay, backboneRate, scaleRate }: GroupSettings): ParameterGroup[] {
  return [
    { name: 'backbone', rate: backboneRate, weightDecay },
    { name: 'backbone.undecayed', rate: backboneRate, weightDecay: 0 },
    { name: 'head', rate: 1, weightDecay },
    { name: 'head.undecayed', rate: 1, weightDecay: 0 },
    { name: SCALES, rate: scaleRate, weightDecay: 0 },
  ];
}

/** The name of the group of a weight. */
export function groupOf({ isBackbone, isDecayed }: ParameterTraits): string {
  return `${isBackbone ? 'backbone' : 'head'}${isDecayed ? '' : '.undecayed'}`;
}
