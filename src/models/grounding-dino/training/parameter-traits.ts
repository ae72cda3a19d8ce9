/** Facts for training that follow from the names of GroundingDINO's weights and modules. */
import type { SegmentOf } from '../../../autodiff/recompute.ts';
import type { ParameterTraits } from '../../training-family.ts';

/** Tables of embeddings, which are looked up by position, level or offset. */
const TABLES = /level_embed|relative_position_bias_table|query_position_embeddings|_embeddings\./;

/** How the optimizer treats a weight: biases, normalisation and tables are not decayed. */
export function parameterTraits(name: string, rank: number): ParameterTraits {
  return {
    isBackbone: name.startsWith('model.backbone.') || name.startsWith('model.text_backbone.'),
    isDecayed: rank >= 2 && !TABLES.test(name),
  };
}

/** The layers of the feature enhancer, whose values take most of the memory of a training. */
export const segmentOf: SegmentOf = ({ name }) =>
  /(?:^|\.)model\.encoder\.layers\.\d+(?=[./])/.exec(name)?.[0].replace(/^\./, '');
