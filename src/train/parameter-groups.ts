/** Which weights the optimizer treats alike. */
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

/** Biases, norms and what is looked up by position or level are not decayed. */
export function groupOf({ name, shape }: TrainedParameter): string {
  if (name.endsWith(SCALE_SUFFIX)) return SCALES;
  const isBackbone = name.startsWith('model.backbone.') || name.startsWith('model.text_backbone.');
  const isTable = /level_embed|relative_position_bias_table|query_position_embeddings|_embeddings\./.test(name);
  const isPlain = shape.length < 2 || isTable;
  return `${isBackbone ? 'backbone' : 'head'}${isPlain ? '.undecayed' : ''}`;
}
