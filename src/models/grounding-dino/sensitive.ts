/** The parts of GroundingDINO that lose most accuracy in 8 bits, and why: published findings, the strongest first. */
import type { SensitivePart } from '../family.ts';

/** See docs/quantization.md for the sources. */
export const SENSITIVE_PARTS: readonly SensitivePart[] = [
  {
    name: 'box heads',
    match: ['**.bbox_embed.**', '**.bbox_embed', '**.encoder_output_bbox_embed.**'],
    reason: 'boxes are refined through inverse sigmoids, which magnify small errors layer after layer',
  },
  {
    name: 'decoder',
    match: ['model.decoder.**'],
    reason: 'a flip in the top-k of queries changes what every query means; RT-DETR collapses with an INT8 decoder',
  },
  {
    name: 'sampling offsets, attention weights',
    match: ['**.sampling_offsets', '**.attention_weights'],
    reason: 'they say where deformable attention looks: an error of one step moves the sample by pixels',
  },
  {
    name: 'fusion scores',
    match: ['**.fusion_layer.attn', '**.fusion_layer.attn.*vision_proj', '**.fusion_layer.attn.*text_proj'],
    reason: 'weights spread over all positions vanish in 8 bits, and the text side depends on the prompt',
  },
  {
    name: 'text encoder',
    match: ['model.text_backbone.**', 'model.text_projection'],
    reason: 'a few channels are a hundred times larger than the rest, and ranges depend on the prompt',
  },
  {
    name: 'patch embedding, input projections',
    match: ['**.patch_embeddings.**', 'model.input_proj_vision.**'],
    reason: 'all that follows depends on the first layers, which are small',
  },
];
