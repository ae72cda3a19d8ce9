/** The names of the network's parameters, which are those of Hugging Face's implementation. */

const MODULES =
  /^(?:model\.(?:backbone|text_backbone|text_projection|input_proj_vision|level_embed|query_position_embeddings|encoder|decoder|enc_output|enc_output_norm|encoder_output_bbox_embed|encoder_output_class_embed)|bbox_embed|class_embed)(?:\.|$)/;

/** Tensors in these modules that the network does not compute with. */
const UNUSED =
  /(?:\.position_ids|\.relative_position_index|\.attn_mask|\.pooler\.dense\.(?:weight|bias)|\.swin\.layernorm\.(?:weight|bias))$/;

/** Whether a name is that of a parameter of the network. Anything else in a checkpoint need not be readable. */
export const isParameter = (name: string): boolean => MODULES.test(name) && !UNUSED.test(name);

/** Returns the first of the two names that a tensor of a decoder's head may have; other names are returned unchanged. */
export const headName = (name: string): string => name.replace(/^model\.decoder\.(?=(?:bbox|class)_embed\.)/, '');
