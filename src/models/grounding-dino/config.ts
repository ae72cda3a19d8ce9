/**
 * The configuration of a GroundingDINO model: the checked contents of `config.json` in a Hugging Face folder, with
 * transformers' default for every setting that it leaves out.
 */
import { z } from 'zod';
import { InputError } from '../../base/errors.ts';
import { parseWith } from '../../base/schema.ts';

/** The values of `model_type` in Hugging Face's configurations. */
export const MODEL_TYPES = ['grounding-dino', 'mm-grounding-dino'] as const;

/** Sizes come from untrusted files. The bounds are well above any published model. */
const count = z.number().int().min(1).max(65_536);
const epsilon = z.number().positive().max(1);
const layers = z.number().int().min(1).max(256);

const swinSchema = z.object({
  model_type: z.literal('swin', { error: 'only Swin backbones are supported' }),
  embed_dim: count.default(96),
  depths: z.array(layers).length(4).default([2, 2, 6, 2]),
  num_heads: z.array(count).length(4).default([3, 6, 12, 24]),
  window_size: z.number().int().min(1).max(64).default(7),
  patch_size: z.literal(4).default(4),
  num_channels: z.literal(3).default(3),
  mlp_ratio: z.number().positive().max(64).default(4),
  qkv_bias: z.literal(true).default(true),
  hidden_act: z.literal('gelu').default('gelu'),
  layer_norm_eps: epsilon.default(1e-5),
  use_absolute_embeddings: z.literal(false).default(false),
  /** The stages whose maps are used. The first one's too in the large MM-Grounding-DINO and LLMDet. */
  out_indices: z
    .array(z.number())
    .refine((stages) => ['2,3,4', '1,2,3,4'].includes(stages.join()), 'only stages 2, 3, 4 or 1, 2, 3, 4 are supported')
    .default([2, 3, 4]),
});

const bertSchema = z.object({
  model_type: z.literal('bert', { error: 'only BERT text encoders are supported' }).default('bert'),
  vocab_size: z.number().int().min(1).max(10_000_000).default(30_522),
  hidden_size: count.default(768),
  num_hidden_layers: layers.default(12),
  num_attention_heads: count.default(12),
  intermediate_size: count.default(3072),
  max_position_embeddings: count.default(512),
  type_vocab_size: count.default(2),
  hidden_act: z.literal('gelu').default('gelu'),
  layer_norm_eps: epsilon.default(1e-12),
});

const configSchema = z.object({
  model_type: z.enum(MODEL_TYPES, {
    error: 'it must be "grounding-dino" or "mm-grounding-dino"',
  }),
  backbone_config: swinSchema,
  text_config: bertSchema.prefault({}),
  d_model: count.default(256),
  num_queries: count.default(900),
  encoder_layers: layers.default(6),
  encoder_ffn_dim: count.default(2048),
  encoder_attention_heads: count.default(8),
  encoder_n_points: z.number().int().min(1).max(64).default(4),
  decoder_layers: layers.default(6),
  decoder_ffn_dim: count.default(2048),
  decoder_attention_heads: count.default(8),
  decoder_n_points: z.number().int().min(1).max(64).default(4),
  decoder_bbox_embed_share: z.boolean().default(true),
  num_feature_levels: z.number().int().min(3).max(8).default(4),
  max_text_len: z.number().int().min(4).max(4096).default(256),
  activation_function: z.literal('relu').default('relu'),
  position_embedding_type: z.literal('sine').default('sine'),
  positional_embedding_temperature: z.number().positive().max(1e6).default(20),
  query_dim: z.literal(4).default(4),
  two_stage: z.literal(true).default(true),
  two_stage_bbox_embed_share: z.literal(false).default(false),
  embedding_init_target: z.literal(true).default(true),
  layer_norm_eps: epsilon.default(1e-5),
  transformers_version: z.string().optional(),
});

/** The configuration of a model, in the names of Hugging Face's `GroundingDinoConfig`. */
export type Config = z.output<typeof configSchema> & {
  /** Whether text position embeddings are truncated to whole numbers, as transformers does since version 5: see `sineTable`. */
  readonly whole_text_positions: boolean;
};
/** The configuration of the image backbone. */
export type SwinConfig = Config['backbone_config'];
/** The configuration of the text encoder. */
export type BertConfig = Config['text_config'];

/** The maximum number of tokens of a prompt. */
export function longestText({ max_text_len, text_config }: Config): number {
  return Math.min(max_text_len, text_config.max_position_embeddings);
}

/** The number of groups of GroupNorm in the input projections. */
export const GROUPS = 32;

/**
 * Checks a configuration.
 *
 * @param value the parsed JSON of `config.json`
 * @param source names the configuration in errors
 * @throws InputError that names the first field that is wrong
 * @example
 * import { readFile } from 'node:fs/promises';
 *
 * const config = parseConfig(JSON.parse(await readFile('config.json', 'utf8')), 'config.json');
 */
export function parseConfig(value: unknown, source: string): Config {
  const config = parseWith(configSchema, value, source);
  const { backbone_config: swin, text_config: bert } = config;
  const divisions: [string, number, number][] = [
    ['d_model / encoder_attention_heads', config.d_model, config.encoder_attention_heads],
    ['d_model / decoder_attention_heads', config.d_model, config.decoder_attention_heads],
    ['d_model / 32 groups', config.d_model, GROUPS],
    ['encoder_attention_heads / 2', config.encoder_attention_heads, 2],
    ['encoder_ffn_dim / encoder_attention_heads', config.encoder_ffn_dim, config.encoder_attention_heads],
    ['hidden_size / num_attention_heads of text_config', bert.hidden_size, bert.num_attention_heads],
    ...swin.num_heads.map((heads, stage): [string, number, number] => [
      `width / num_heads of stage ${stage + 1} of backbone_config`,
      swin.embed_dim * 2 ** stage,
      heads,
    ]),
  ];
  for (const [what, size, parts] of divisions)
    if (size % parts !== 0)
      throw new InputError(`${source} contradicts itself: ${what} = ${size} / ${parts} is not whole.`);
  const whole = Number.parseInt(config.transformers_version ?? '0', 10) >= 5;
  return { ...config, whole_text_positions: whole };
}
