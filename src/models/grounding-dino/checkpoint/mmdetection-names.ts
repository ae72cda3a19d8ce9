/**
 * Translates names and layouts of MMDetection (https://github.com/open-mmlab/mmdetection, configs/mm_grounding_dino and
 * configs/grounding_dino; LLMDet has the same) to those of Hugging Face. The facts are those of the conversion in transformers.
 */
import { InputError } from '../../../base/errors.ts';
import { byteLength, DataType } from '../../../onnx/types.ts';
import type { StoredTensor } from '../../checkpoint/checkpoint.ts';
import type { Naming } from '../../checkpoint/choose-weights.ts';
import { stridedCopy } from '../../checkpoint/strided-copy.ts';
import { setParts } from './fused-projections.ts';
import { isParameter } from './parameter-names.ts';

const SWIN = 'model.backbone.conv_encoder.model';

/** Patterns are tried in order; the first that matches decides. */
const RENAMES: readonly (readonly [RegExp, string])[] = [
  [/^backbone\.patch_embed\.projection\./, `${SWIN}.embeddings.patch_embeddings.projection.`],
  [/^backbone\.patch_embed\.norm\./, `${SWIN}.embeddings.norm.`],
  [/^backbone\.stages\.(\d+)\.blocks\.(\d+)\.norm1\./, `${SWIN}.encoder.layers.$1.blocks.$2.layernorm_before.`],
  [/^backbone\.stages\.(\d+)\.blocks\.(\d+)\.norm2\./, `${SWIN}.encoder.layers.$1.blocks.$2.layernorm_after.`],
  [
    /^backbone\.stages\.(\d+)\.blocks\.(\d+)\.attn\.w_msa\.proj\./,
    `${SWIN}.encoder.layers.$1.blocks.$2.attention.output.dense.`,
  ],
  [/^backbone\.stages\.(\d+)\.blocks\.(\d+)\.attn\.w_msa\./, `${SWIN}.encoder.layers.$1.blocks.$2.attention.self.`],
  [
    /^backbone\.stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.0\.0\./,
    `${SWIN}.encoder.layers.$1.blocks.$2.intermediate.dense.`,
  ],
  [/^backbone\.stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.1\./, `${SWIN}.encoder.layers.$1.blocks.$2.output.dense.`],
  [/^backbone\.stages\.(\d+)\.downsample\.(reduction|norm)\./, `${SWIN}.encoder.layers.$1.downsample.$2.`],
  [/^language_model\.language_backbone\.body\.model\./, 'model.text_backbone.'],
  [/^text_feat_map\./, 'model.text_projection.'],
  [/^level_embed$/, 'model.level_embed'],
  [/^query_embedding\./, 'model.query_position_embeddings.'],
  [/^memory_trans_fc\./, 'model.enc_output.'],
  [/^memory_trans_norm\./, 'model.enc_output_norm.'],
  [/^encoder\.fusion_layers\.(\d+)\.gamma_v$/, 'model.encoder.layers.$1.fusion_layer.vision_param'],
  [/^encoder\.fusion_layers\.(\d+)\.gamma_l$/, 'model.encoder.layers.$1.fusion_layer.text_param'],
  [/^encoder\.fusion_layers\.(\d+)\.layer_norm_v\./, 'model.encoder.layers.$1.fusion_layer.layer_norm_vision.'],
  [/^encoder\.fusion_layers\.(\d+)\.layer_norm_l\./, 'model.encoder.layers.$1.fusion_layer.layer_norm_text.'],
  [
    /^encoder\.fusion_layers\.(\d+)\.attn\.(values_|out_)?v_proj\./,
    'model.encoder.layers.$1.fusion_layer.attn.$2vision_proj.',
  ],
  [
    /^encoder\.fusion_layers\.(\d+)\.attn\.(values_|out_)?l_proj\./,
    'model.encoder.layers.$1.fusion_layer.attn.$2text_proj.',
  ],
  [/^encoder\.layers\.(\d+)\.self_attn\./, 'model.encoder.layers.$1.deformable_layer.self_attn.'],
  [/^encoder\.layers\.(\d+)\.norms\.0\./, 'model.encoder.layers.$1.deformable_layer.self_attn_layer_norm.'],
  [/^encoder\.layers\.(\d+)\.norms\.1\./, 'model.encoder.layers.$1.deformable_layer.final_layer_norm.'],
  [/^encoder\.layers\.(\d+)\.ffn\.layers\.0\.0\./, 'model.encoder.layers.$1.deformable_layer.fc1.'],
  [/^encoder\.layers\.(\d+)\.ffn\.layers\.1\./, 'model.encoder.layers.$1.deformable_layer.fc2.'],
  [/^encoder\.text_layers\.(\d+)\.self_attn\.attn\./, 'model.encoder.layers.$1.text_enhancer_layer.self_attn.'],
  [/^encoder\.text_layers\.(\d+)\.norms\.0\./, 'model.encoder.layers.$1.text_enhancer_layer.layer_norm_before.'],
  [/^encoder\.text_layers\.(\d+)\.norms\.1\./, 'model.encoder.layers.$1.text_enhancer_layer.layer_norm_after.'],
  [/^encoder\.text_layers\.(\d+)\.ffn\.layers\.0\.0\./, 'model.encoder.layers.$1.text_enhancer_layer.fc1.'],
  [/^encoder\.text_layers\.(\d+)\.ffn\.layers\.1\./, 'model.encoder.layers.$1.text_enhancer_layer.fc2.'],
  [/^decoder\.norm\./, 'model.decoder.layer_norm.'],
  [/^decoder\.ref_point_head\./, 'model.decoder.reference_points_head.'],
  [/^decoder\.layers\.(\d+)\.self_attn\.attn\./, 'model.decoder.layers.$1.self_attn.'],
  [/^decoder\.layers\.(\d+)\.cross_attn_text\.attn\./, 'model.decoder.layers.$1.encoder_attn_text.'],
  [/^decoder\.layers\.(\d+)\.cross_attn\./, 'model.decoder.layers.$1.encoder_attn.'],
  [/^decoder\.layers\.(\d+)\.norms\.0\./, 'model.decoder.layers.$1.self_attn_layer_norm.'],
  [/^decoder\.layers\.(\d+)\.norms\.1\./, 'model.decoder.layers.$1.encoder_attn_text_layer_norm.'],
  [/^decoder\.layers\.(\d+)\.norms\.2\./, 'model.decoder.layers.$1.encoder_attn_layer_norm.'],
  [/^decoder\.layers\.(\d+)\.norms\.3\./, 'model.decoder.layers.$1.final_layer_norm.'],
  [/^decoder\.layers\.(\d+)\.ffn\.layers\.0\.0\./, 'model.decoder.layers.$1.fc1.'],
  [/^decoder\.layers\.(\d+)\.ffn\.layers\.1\./, 'model.decoder.layers.$1.fc2.'],
];

/** The naming of MMDetection. */
export const mmdetectionNaming: Naming = {
  marks: [
    'level_embed',
    'language_model.language_backbone.body.model.embeddings.word_embeddings.weight',
    'memory_trans_fc.weight',
  ],
  rename: (names, read, source) => {
    const layout = {
      maps: count(names, 'neck.convs.#.conv.weight'),
      layers: count(names, 'decoder.layers.#.norms.0.weight'),
    };
    checkScale(names, read, source);
    const renamed = new Map<string, StoredTensor>();
    for (const name of names) {
      const target = rename(name, layout);
      if (target !== undefined && isParameter(target)) setParts(renamed, target, inLayout(target, read(name)));
    }
    return renamed;
  },
};

/** What decides under which number a module is found. */
interface Layout {
  /** Maps that the backbone gives. Levels of the neck beyond them are counted anew. */
  readonly maps: number;
  /** Layers of the decoder. The head after theirs is that of the encoder's proposals. */
  readonly layers: number;
}

/** Counts the names, in which # stands for a number from 0. */
function count(names: readonly string[], name: string): number {
  const all = new Set(names);
  let number = 0;
  while (all.has(name.replace('#', String(number)))) number++;
  return number;
}

function rename(name: string, { maps, layers }: Layout): string | undefined {
  const norm = name.match(/^backbone\.norm(\d+)\.(.*)$/);
  if (norm) return `${SWIN}.hidden_states_norms.stage${Number(norm[1]) + 1}.${norm[2]}`;
  const neck = name.match(/^neck\.(extra_)?convs\.(\d+)\.(conv|gn)\.(.*)$/);
  if (neck)
    return `model.input_proj_vision.${Number(neck[2]) + (neck[1] ? maps : 0)}.${neck[3] === 'conv' ? 0 : 1}.${neck[4]}`;
  const bias = name.match(/^bbox_head\.cls_branches\.(\d+)\.bias$/);
  if (bias) return Number(bias[1]) < layers ? `class_embed.${bias[1]}.bias` : 'model.encoder_output_class_embed.bias';
  const box = name.match(/^bbox_head\.reg_branches\.(\d+)\.([024])\.(.*)$/);
  if (box) {
    const head = Number(box[1]) < layers ? `bbox_embed.${box[1]}` : 'model.encoder_output_bbox_embed';
    return `${head}.layers.${Number(box[2]) / 2}.${box[3]}`;
  }
  const found = RENAMES.find(([pattern]) => pattern.test(name));
  return found && name.replace(found[0], found[1]);
}

/** A tensor in the layout of Hugging Face, for the few that MMDetection stores in another one. */
function inLayout(target: string, tensor: StoredTensor): StoredTensor {
  if (/class_embed(?:\.\d+)?\.bias$/.test(target)) return { ...tensor, shape: [] };
  return target.includes('.downsample.') ? inSwinOrder(tensor) : tensor;
}

/**
 * Swin's patch merging reads four neighbours. MMDetection's `unfold` puts the channel outermost, then row and column; the
 * published Swin has column, row, channel.
 */
function inSwinOrder({ type, shape, bytes }: StoredTensor): StoredTensor {
  const inputs = shape.at(-1) ?? 0;
  const channels = Math.floor(inputs / 4);
  if (channels * 4 !== inputs) return { type, shape, bytes }; // the builder refuses the shape
  const [rows, strides] = shape.length === 2 ? [[shape[0] ?? 0], [inputs]] : [[], []];
  const ordered = stridedCopy(bytes, byteLength(type, 1) ?? 0, [...rows, 2, 2, channels], [...strides, 1, 2, 4]);
  return { type, shape, bytes: ordered };
}

/**
 * The class heads have either a bias and a fixed scale (MM-Grounding-DINO), or neither and a learned factor exp(log_scale),
 * which is 1 in the published Grounding DINO. Any other factor is in neither of Hugging Face's two models.
 */
function checkScale(names: readonly string[], read: (name: string) => StoredTensor, source: string): void {
  for (const name of names) {
    if (!/^bbox_head\.cls_branches\.\d+\.log_scale$/.test(name)) continue;
    const { type, bytes } = read(name);
    const zero = bytes.every((byte) => byte === 0);
    if (!zero || names.includes(name.replace(/log_scale$/, 'bias')))
      throw new InputError(
        `${source}: ${name} is a learned scale of the class logits${type === DataType.FLOAT && bytes.length === 4 ? ` (${new Float32Array(bytes.slice().buffer)[0]})` : ''}, which dino8 does not compute; train with log_scale="auto" and a bias, as MM-Grounding-DINO does.`,
      );
  }
}
