/** The parts of GroundingDINO that lose most accuracy in 8 bits, with the reason. */
import type { SensitivePart } from '../family.ts';

/**
 * The most sensitive part comes first. The list follows published reports on detectors of the DETR family and on BERT (such
 * as Bondarenko et al. 2021, https://arxiv.org/abs/2109.12948); `measureSensitivity` measures the parts of a given model.
 */
export const SENSITIVE_PARTS: readonly SensitivePart[] = [
  {
    name: 'box heads',
    match: ['**.bbox_embed.**', '**.bbox_embed', '**.encoder_output_bbox_embed.**'],
    reason: 'boxes are refined through inverse sigmoids, which magnify small errors layer after layer',
  },
  {
    name: 'decoder',
    match: ['model.decoder.**'],
    reason: 'a flip in the top-k of queries changes the meaning of every query; RT-DETR collapses with an INT8 decoder',
  },
  {
    name: 'sampling offsets, attention weights',
    match: ['**.sampling_offsets', '**.attention_weights'],
    reason: 'they place the samples of deformable attention, which an error of one step moves by pixels',
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
    reason: 'all later layers depend on these first ones, which are small',
  },
];
