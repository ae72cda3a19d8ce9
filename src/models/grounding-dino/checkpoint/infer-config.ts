/** Infers the configuration of a checkpoint without `config.json` from the shapes of its tensors. */
import { InputError } from '../../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { type Config, parseConfig } from '../config.ts';
import { withHeads } from './hugging-face.ts';

/** Both published models sample this number of points on each level. */
const POINTS = 4;
/** The width of an attention head of BERT in both published models. */
const BERT_HEAD_SIZE = 64;

const SWIN = 'model.backbone.conv_encoder.model.encoder.layers';
const NORMS = 'model.backbone.conv_encoder.model.hidden_states_norms';
const BERT = 'model.text_backbone';

/**
 * Infers a configuration.
 *
 * @param tensors with Hugging Face's names
 * @param source names the checkpoint in errors
 * @throws InputError that names a tensor which is needed and missing
 */
export function inferConfig(tensors: Checkpoint, source: string): Config {
  const shapeOf = (name: string): readonly number[] => {
    const found = tensors.get(name);
    if (!found)
      throw new InputError(
        `${source} has no config.json beside it and lacks ${name}, from which it would be read; is it a GroundingDINO checkpoint?`,
      );
    return found.shape;
  };
  const at = (name: string, axis: number) => shapeOf(name)[axis] ?? 0;
  /** Counts the tensors called `name`, in which # stands for a number from 0. */
  const count = (name: string) => {
    let number = 0;
    while (tensors.has(name.replace('#', String(number)))) number++;
    return number;
  };
  const stages = [0, 1, 2, 3];
  const biasTable = (stage: number) => `${SWIN}.${stage}.blocks.0.attention.self.relative_position_bias_table`;
  const levels = at('model.level_embed', 0);
  const headsBy = (weights: string) => at(weights, 0) / (levels * POINTS);
  const hidden = at(`${BERT}.embeddings.word_embeddings.weight`, 1);
  const encoder = 'model.encoder.layers.0.deformable_layer';
  // Only MM-Grounding-DINO has a bias in its class heads.
  const isMm = tensors.has('model.encoder_output_class_embed.bias');
  const value = {
    model_type: isMm ? 'mm-grounding-dino' : 'grounding-dino',
    backbone_config: {
      model_type: 'swin',
      embed_dim: at('model.backbone.conv_encoder.model.embeddings.norm.weight', 0),
      depths: stages.map((stage) => count(`${SWIN}.${stage}.blocks.#.layernorm_before.weight`)),
      num_heads: stages.map((stage) => at(biasTable(stage), 1)),
      window_size: (Math.sqrt(at(biasTable(0), 0)) + 1) / 2,
      out_indices: stages.map((stage) => stage + 1).filter((stage) => tensors.has(`${NORMS}.stage${stage}.weight`)),
    },
    text_config: {
      vocab_size: at(`${BERT}.embeddings.word_embeddings.weight`, 0),
      hidden_size: hidden,
      num_hidden_layers: count(`${BERT}.encoder.layer.#.output.dense.weight`),
      num_attention_heads: hidden / BERT_HEAD_SIZE,
      intermediate_size: at(`${BERT}.encoder.layer.0.intermediate.dense.weight`, 0),
      max_position_embeddings: at(`${BERT}.embeddings.position_embeddings.weight`, 0),
      type_vocab_size: at(`${BERT}.embeddings.token_type_embeddings.weight`, 0),
    },
    d_model: at('model.level_embed', 1),
    num_queries: at('model.query_position_embeddings.weight', 0),
    num_feature_levels: levels,
    encoder_layers: count('model.encoder.layers.#.deformable_layer.fc1.weight'),
    encoder_ffn_dim: at(`${encoder}.fc1.weight`, 0),
    encoder_attention_heads: headsBy(`${encoder}.self_attn.attention_weights.weight`),
    encoder_n_points: POINTS,
    decoder_layers: count('model.decoder.layers.#.fc1.weight'),
    decoder_ffn_dim: at('model.decoder.layers.0.fc1.weight', 0),
    decoder_attention_heads: headsBy('model.decoder.layers.0.encoder_attn.attention_weights.weight'),
    decoder_n_points: POINTS,
    decoder_bbox_embed_share: boxHeadsAreShared(tensors),
  };
  return withHeads(parseConfig(value, `${source} (configuration read off its tensors)`), tensors);
}

/** Whether box heads are shared: shared heads are stored once, or as equal copies. */
function boxHeadsAreShared(tensors: Checkpoint): boolean {
  const [first, second] = [0, 1].map((head) => tensors.get(`bbox_embed.${head}.layers.0.weight`)?.bytes);
  return !first || !second || Buffer.compare(first, second) === 0;
}
