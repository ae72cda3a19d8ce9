/** Translates tensor names of the original repository (https://github.com/IDEA-Research/GroundingDINO) to those of Hugging Face. */
import type { StoredTensor } from '../../checkpoint/checkpoint.ts';
import type { Naming } from '../../checkpoint/choose-weights.ts';
import { setParts } from './fused-projections.ts';
import { isParameter } from './parameter-names.ts';

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

/** The naming of the original repository. */
export const originalNaming: Naming = {
  marks: ['transformer.level_embed', 'bert.embeddings.word_embeddings.weight'],
  rename: (names, read) => {
    const renamed = new Map<string, StoredTensor>();
    for (const name of names) {
      const found = RENAMES.find(([pattern]) => pattern.test(name));
      const target = found && name.replace(found[0], found[1]);
      if (target !== undefined && isParameter(target)) setParts(renamed, target, read(name));
    }
    return renamed;
  },
};
