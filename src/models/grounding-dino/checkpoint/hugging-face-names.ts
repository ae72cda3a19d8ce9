/** Hugging Face's names, which are dino8's own, in the forms that programs save. */
import type { StoredTensor } from '../../checkpoint/checkpoint.ts';
import type { Naming } from '../../checkpoint/choose-weights.ts';
import { headName, isParameter } from './parameter-names.ts';

const SWIN = 'model.backbone.conv_encoder.model.';

/**
 * transformers 5 has other names for Swin's modules in memory than `save_pretrained` writes, and `torch.save(model.state_dict())`
 * writes those.
 */
const IN_MEMORY: readonly (readonly [RegExp, string])[] = [
  [/^swin\.(?!layernorm\.)/, ''],
  [/\.attention\.q_proj\./, '.attention.self.query.'],
  [/\.attention\.k_proj\./, '.attention.self.key.'],
  [/\.attention\.v_proj\./, '.attention.self.value.'],
  [/\.attention\.o_proj\./, '.attention.output.dense.'],
  [
    /\.attention\.relative_position_bias\.relative_position_bias_table$/,
    '.attention.self.relative_position_bias_table',
  ],
  [/\.mlp\.fc1\./, '.intermediate.dense.'],
  [/\.mlp\.fc2\./, '.output.dense.'],
];

/** The name under which `save_pretrained` writes a tensor. */
function savedName(name: string): string {
  if (!name.startsWith(SWIN)) return name;
  const inside = name.slice(SWIN.length);
  return SWIN + IN_MEMORY.reduce((text, [pattern, target]) => text.replace(pattern, target), inside);
}

/** The naming of `GroundingDinoForObjectDetection`. */
export const huggingFaceNaming: Naming = {
  marks: ['model.level_embed', 'model.text_backbone.embeddings.word_embeddings.weight'],
  rename: (names, read) => canonical(names, savedName, read),
};

/** The same after a program has cut off `model.`, which it took for the prefix of a wrapper. */
export const huggingFaceCutNaming: Naming = {
  marks: ['level_embed', 'text_backbone.embeddings.word_embeddings.weight'],
  rename: (names, read) => canonical(names, (name) => savedName(isParameter(name) ? name : `model.${name}`), read),
};

/**
 * The decoder's heads are registered twice, as `bbox_embed` and `model.decoder.bbox_embed`; the version of
 * transformers decides under which name a tensor is saved. In dino8 all have the first name.
 */
function canonical(
  names: readonly string[],
  rename: (name: string) => string,
  read: (name: string) => StoredTensor,
): Map<string, StoredTensor> {
  const named = new Map<string, StoredTensor>();
  for (const name of names) if (isParameter(rename(name))) named.set(rename(name), read(name));
  for (const [name, tensor] of [...named]) {
    const short = headName(name);
    if (!named.has(short)) named.set(short, tensor);
  }
  return named;
}
