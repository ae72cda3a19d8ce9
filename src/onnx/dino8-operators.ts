/** The operators of dino8's own domain: model-local functions, for which its library has kernels. */

export const DOMAIN = 'ai.dino8';

/** See model/deformable-attention.ts. */
export const DEFORMABLE_ATTENTION = 'MultiScaleDeformableAttention';

/** See quant/observe/observe-function.ts. */
export const OBSERVE = 'Observe';

/** See autodiff/functions. */
export const LAYER_NORMALIZATION_GRADIENT = 'LayerNormalizationGradient';
export const SOFTMAX_GRADIENT = 'SoftmaxGradient';
export const GELU_GRADIENT = 'GeluGradient';

/** See train/fake-quantize.ts. */
export const FAKE_QUANTIZE = 'FakeQuantize';
export const FAKE_QUANTIZE_GRADIENT = 'FakeQuantizeGradient';
