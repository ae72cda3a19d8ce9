// The components of GroundingDINO by which its time is told apart: the first pattern that a module path matches is its own.
const swin = (stage) => `model\\.backbone\\.conv_encoder\\.model\\.encoder\\.layers\\.${stage - 1}\\.`;

const COMPONENTS = [
  ...[1, 2, 3, 4].flatMap((stage) => [
    [`Swin stage ${stage}: feed-forward`, `${swin(stage)}blocks\\.\\d+\\.(intermediate|output|layernorm_after)`],
    [`Swin stage ${stage}: window attention`, `${swin(stage)}blocks`],
  ]),
  ['text encoder', 'model\\.text_(backbone|projection)'],
  ['text enhancer layers', '.*\\.text_enhancer_layer'],
  ['fusion layers', '.*\\.fusion_layer'],
  ['deformable layers', 'model\\.encoder\\.layers\\.\\d+\\.deformable_layer(\\.self_attn|$)'],
  ['encoder feed-forward', 'model\\.encoder\\.layers\\.\\d+\\.deformable_layer'],
  ['heads', '(model\\.)?((encoder_output_)?bbox_embed|class_head|enc_output|query_selection)'],
  ['decoder', 'model\\.decoder'],
  ['positions, masks, proposals', '(model\\.(levels|proposals)|prompt|model$|model\\.backbone\\..*\\.windows)'],
  ['patches, patch merging, projections to the encoder', 'model\\.(backbone|input_proj_vision)'],
].map(([name, pattern]) => [name, new RegExp(`^${pattern}`)]);

export const REST = 'rest';

/** The names of the components in the order of the model, the rest last. */
export const components = [...new Set(COMPONENTS.map(([name]) => name)), REST];

/** The component of a module path. */
export const componentOf = (path) => COMPONENTS.find(([, pattern]) => pattern.test(path))?.[0] ?? REST;
