/** Recognises checkpoints of models that dino8 does not read, to say what they are. */

/** The names of tensors of adapters, without which a model computes something else. */
const ADAPTER = /\blora_[AB]\b|\blora_(?:down|up)\b|\bada_?lora/i;

/** A kind of model, with patterns of which each matches the name of one of its tensors. */
const MODELS: readonly (readonly [name: string, ...patterns: readonly RegExp[]])[] = [
  ['a LoRA or PEFT adapter without its model (merge it into the model first, with merge_and_unload)', ADAPTER],
  [
    'a model in the 8 or 4 bits of bitsandbytes (save it in float16 or float32)',
    /\.(?:weight\.(?:absmax|quant_state|quant_map)|SCB)\b/,
  ],
  ['a model in the format of GPTQ or AWQ (save it in float16 or float32)', /\.qweight$/, /\.qzeros$/],
  [
    'a model that MMDetection saved and whose names are not those of its Grounding DINO',
    /^language_model\.language_backbone\.body\./,
  ],
  ['GLIP', /language_backbone\.body\.model\./, /rpn\.head\./],
  ['OWL-ViT or OWLv2', /(?:^|\.)(?:owlvit|owlv2)\.|^class_head\.dense0\./],
  ['Florence-2', /vision_tower\./, /language_model\.(?:model|lm_head)/],
  ['YOLO-World or YOLOE', /text_model\.|\breprta\b|image_model\./, /bbox_head\.|head_module\./],
  ['Segment Anything', /mask_decoder\./],
  ['YOLO', /(?:^|\.)model\.\d+\.(?:conv|cv\d|m|bn|dfl)\b/],
  ['YOLOX', /backbone\.backbone\.(?:stem|dark\d)\./],
  ['RT-DETR or D-FINE', /(?:dec_score_head|dec_bbox_head|enc_score_head|denoising_class_embed)\b/],
  [
    'Deformable DETR or DINO without text',
    /transformer\.encoder\.layers\.\d+\.self_attn\.sampling/,
    /transformer\.decoder\.layers\.\d+\.cross_attn\./,
  ],
  [
    'DETR',
    /transformer\.encoder\.layers\.\d+\.self_attn\.in_proj_weight|class_labels_classifier\./,
    /query_embed|query_position/,
  ],
  ['a torchvision or Detectron2 R-CNN', /roi_heads?\.|proposal_generator\./],
  ['an MMDetection detector', /^bbox_head\.|^rpn_head\.|^mask_head\./, /^(?:backbone|neck)\./],
  ['CLIP', /text_model\.|^token_embedding\.weight|^ln_final\./, /visual_projection|vision_model\.|^visual\./],
  ['a BERT text encoder alone', /embeddings\.word_embeddings\.weight/, /encoder\.layer\.0\.attention\.self\./],
  [
    'DINOv2 or another vision transformer, which are no detectors',
    /(?:^|\.)cls_token/,
    /(?:blocks|layer)\.0\.(?:attn|attention)\./,
  ],
  ['a Swin backbone alone', /layers\.0\.blocks\.0\.(?:attn|attention)\./],
  ['a ResNet', /layer1\.0\.conv1\.weight/],
];

/** The kind of model that has tensors of these names; undefined if it is not recognised. */
export function nameOfModel(names: ReadonlySet<string>): string | undefined {
  const all = [...names].slice(0, 20_000);
  return MODELS.find(([, ...patterns]) => patterns.every((pattern) => all.some((name) => pattern.test(name))))?.[0];
}

/** The first of these names that is one of an adapter; undefined if there is none. */
export const adapterName = (names: readonly string[]): string | undefined => names.find((name) => ADAPTER.test(name));
