/**
 * Translates tensor names of the original repository (https://github.com/IDEA-Research/GroundingDINO) to those of Hugging
 * Face. Fused projections are cut into query, key and value: their rows follow each other, so the parts are views.
 */
import type { Checkpoint, StoredTensor } from '../../checkpoint/checkpoint.ts';

/** Patterns are tried in order; the first that matches decides. */
const RENAMES: readonly (readonly [RegExp, string])[] = [
  [/^backbone\.0\.patch_embed\.proj\./, 'model.backbone.conv_encoder.model.embeddings.patch_embeddings.projection.'],
  [/^backbone\.0\.patch_embed\.norm\./, 'model.backbone.conv_encoder.model.embeddings.norm.'],
  [
    /^backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.norm1\./,
    'model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.layernorm_before.',
  ],
  [
    /^backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.norm2\./,
    'model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.layernorm_after.',
  ],
  [
    /^backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.proj\./,
    'model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.attention.output.dense.',
  ],
  [
    /^backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\./,
    'model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.attention.self.',
  ],
  [
    /^backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\./,
    'model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.intermediate.dense.',
  ],
  [
    /^backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\./,
    'model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.output.dense.',
  ],
  [/^backbone\.0\.layers\.(\d+)\.downsample\./, 'model.backbone.conv_encoder.model.encoder.layers.$1.downsample.'],
  [/^backbone\.0\.norm1\./, 'model.backbone.conv_encoder.model.hidden_states_norms.stage2.'],
  [/^backbone\.0\.norm2\./, 'model.backbone.conv_encoder.model.hidden_states_norms.stage3.'],
  [/^backbone\.0\.norm3\./, 'model.backbone.conv_encoder.model.hidden_states_norms.stage4.'],
  [/^bert\./, 'model.text_backbone.'],
  [/^feat_map\./, 'model.text_projection.'],
  [/^input_proj\./, 'model.input_proj_vision.'],
  [/^transformer\.level_embed$/, 'model.level_embed'],
  [/^transformer\.tgt_embed\./, 'model.query_position_embeddings.'],
  [/^transformer\.enc_out_bbox_embed\./, 'model.encoder_output_bbox_embed.'],
  [/^transformer\.(enc_output|enc_output_norm)\./, 'model.$1.'],
  [/^transformer\.encoder\.layers\.(\d+)\.norm1\./, 'model.encoder.layers.$1.deformable_layer.self_attn_layer_norm.'],
  [/^transformer\.encoder\.layers\.(\d+)\.norm2\./, 'model.encoder.layers.$1.deformable_layer.final_layer_norm.'],
  [/^transformer\.encoder\.layers\.(\d+)\.linear([12])\./, 'model.encoder.layers.$1.deformable_layer.fc$2.'],
  [/^transformer\.encoder\.layers\.(\d+)\./, 'model.encoder.layers.$1.deformable_layer.'],
  [
    /^transformer\.encoder\.text_layers\.(\d+)\.norm1\./,
    'model.encoder.layers.$1.text_enhancer_layer.layer_norm_before.',
  ],
  [
    /^transformer\.encoder\.text_layers\.(\d+)\.norm2\./,
    'model.encoder.layers.$1.text_enhancer_layer.layer_norm_after.',
  ],
  [/^transformer\.encoder\.text_layers\.(\d+)\.linear([12])\./, 'model.encoder.layers.$1.text_enhancer_layer.fc$2.'],
  [/^transformer\.encoder\.text_layers\.(\d+)\./, 'model.encoder.layers.$1.text_enhancer_layer.'],
  [/^transformer\.encoder\.fusion_layers\.(\d+)\.gamma_v$/, 'model.encoder.layers.$1.fusion_layer.vision_param'],
  [/^transformer\.encoder\.fusion_layers\.(\d+)\.gamma_l$/, 'model.encoder.layers.$1.fusion_layer.text_param'],
  [
    /^transformer\.encoder\.fusion_layers\.(\d+)\.layer_norm_v\./,
    'model.encoder.layers.$1.fusion_layer.layer_norm_vision.',
  ],
  [
    /^transformer\.encoder\.fusion_layers\.(\d+)\.layer_norm_l\./,
    'model.encoder.layers.$1.fusion_layer.layer_norm_text.',
  ],
  [
    /^transformer\.encoder\.fusion_layers\.(\d+)\.attn\.(values_|out_)?v_proj\./,
    'model.encoder.layers.$1.fusion_layer.attn.$2vision_proj.',
  ],
  [
    /^transformer\.encoder\.fusion_layers\.(\d+)\.attn\.(values_|out_)?l_proj\./,
    'model.encoder.layers.$1.fusion_layer.attn.$2text_proj.',
  ],
  [/^transformer\.decoder\.layers\.(\d+)\.cross_attn\./, 'model.decoder.layers.$1.encoder_attn.'],
  [/^transformer\.decoder\.layers\.(\d+)\.norm1\./, 'model.decoder.layers.$1.encoder_attn_layer_norm.'],
  [/^transformer\.decoder\.layers\.(\d+)\.ca_text\./, 'model.decoder.layers.$1.encoder_attn_text.'],
  [/^transformer\.decoder\.layers\.(\d+)\.catext_norm\./, 'model.decoder.layers.$1.encoder_attn_text_layer_norm.'],
  [/^transformer\.decoder\.layers\.(\d+)\.norm2\./, 'model.decoder.layers.$1.self_attn_layer_norm.'],
  [/^transformer\.decoder\.layers\.(\d+)\.norm3\./, 'model.decoder.layers.$1.final_layer_norm.'],
  [/^transformer\.decoder\.layers\.(\d+)\.linear([12])\./, 'model.decoder.layers.$1.fc$2.'],
  [/^transformer\.decoder\.layers\.(\d+)\./, 'model.decoder.layers.$1.'],
  [/^transformer\.decoder\.norm\./, 'model.decoder.layer_norm.'],
  [/^transformer\.decoder\.ref_point_head\./, 'model.decoder.reference_points_head.'],
  [/^(?:transformer\.decoder\.)?bbox_embed\./, 'bbox_embed.'],
];

/** Matches the name of a fused projection: its path, and `weight` or `bias`. */
const FUSED = /^(.*\.)(?:qkv\.|in_proj_)(weight|bias)$/;
const PARTS = ['query', 'key', 'value'];

/** Returns a checkpoint with Hugging Face's names. Unknown names are kept, because the network does not ask for them. */
export function renameOriginal(original: Checkpoint): Map<string, StoredTensor> {
  const renamed = new Map<string, StoredTensor>();
  for (const [name, tensor] of original) {
    const target = rename(name.replace(/^module\./, ''));
    const fused = target.match(FUSED);
    if (!fused) renamed.set(target, tensor);
    else
      for (const [index, part] of PARTS.entries()) renamed.set(`${fused[1]}${part}.${fused[2]}`, third(tensor, index));
  }
  return renamed;
}

function rename(name: string): string {
  const found = RENAMES.find(([pattern]) => pattern.test(name));
  return found ? name.replace(found[0], found[1]) : name;
}

/** Returns one of three equal parts along the first axis. */
function third({ type, shape, bytes }: StoredTensor, index: number): StoredTensor {
  const [rows = 0, ...rest] = shape;
  const length = Math.floor(bytes.length / PARTS.length);
  return { type, shape: [rows / PARTS.length, ...rest], bytes: bytes.subarray(index * length, (index + 1) * length) };
}
