/** The modules of GroundingDINO, as its publication draws them (https://arxiv.org/abs/2303.05499, figure 3). */
import type { ModelModule } from '../model-modules.ts';

/** A path belongs to the last module that fits, so that the heads within the decoder are heads. */
export const MODULES: readonly ModelModule[] = [
  // With the projections of its feature maps to the width of the encoder.
  { name: 'image backbone', match: ['model.backbone.**', 'model.input_proj_vision.**'] },
  // With the masks and positions of the prompt.
  { name: 'text encoder', match: ['model.text_backbone.**', 'model.text_projection', 'model.text.**', 'prompt.**'] },
  // The feature enhancer, which fuses image and text, with the positions of the feature maps.
  { name: 'encoder', match: ['model.encoder.**', 'model.levels.**'] },
  // With the selection of its queries.
  {
    name: 'decoder',
    match: [
      'model.decoder.**',
      'model.query_position_embeddings.**',
      'model.query_selection.**',
      'model.proposals.**',
      'model.enc_output',
      'model.enc_output_norm',
      'model',
    ],
  },
  {
    name: 'heads',
    match: ['**.bbox_embed.**', '**.class_embed.**', '**.encoder_output_bbox_embed.**', '**.class_head.**'],
  },
];
