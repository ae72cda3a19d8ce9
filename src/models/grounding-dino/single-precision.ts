/**
 * The parts of GroundingDINO that stay in float32 in a model of 16-bit floats. Reports of this and other DETR-like models in
 * float16 name them (https://github.com/NVIDIA/TensorRT/issues/3413); what they are worth together is simulated on the bundled model
 * (`node bench/half.mjs`).
 */
export const SINGLE_PRECISION: readonly string[] = [
  // A sampling position has to be exact to parts of a pixel, and 16 bits have steps of an eighth of a pixel at 167.
  '**.sampling_offsets',
  '**.attention_weights',
  '**.deformable_layer.self_attn',
  '**.encoder_attn',
  // Sums over all positions of an image, and weights that are as small as one part of them.
  '**.fusion_layer.attn',
  '**.fusion_layer.attn.vision_proj',
  '**.fusion_layer.attn.text_proj',
  // The selection of queries: near scores change places.
  'model.enc_output',
  'model.enc_output_norm',
  'model.query_selection',
  'model.proposals',
  'model',
  // Boxes pass through inverse sigmoids, which magnify small errors layer after layer.
  '**.bbox_embed.**',
  'bbox_embed.**',
  '**.encoder_output_bbox_embed.**',
  'model.decoder',
  'model.decoder.reference_points_head.**',
  // Positions and masks of the levels, and the logits that are given out.
  'model.levels',
  'model.text',
  'model.class_head',
];
