/**
 * The operators of dino8's own domain. Each is a model-local function with a standard body; the kernel library has faster
 * kernels under the same names.
 */

/** The domain of all operators below. */
export const DOMAIN = 'ai.dino8';

/** Multi-scale deformable attention; see models/grounding-dino/deformable-attention.ts. */
export const DEFORMABLE_ATTENTION = 'MultiScaleDeformableAttention';

/** Two linear layers in integers; see quant/targets/ort-cpu/feed-forward-function.ts. */
export const FEED_FORWARD = 'FeedForward';
/** Two linear layers in integers with a Gelu between them; see quant/targets/ort-cpu/feed-forward-function.ts. */
export const FEED_FORWARD_GELU = 'FeedForwardGelu';

/** The statistics of a value; see quant/observe/observe-function.ts. */
export const OBSERVE = 'Observe';

/** The gradient of LayerNormalization; see autodiff/functions/layer-normalization-gradient.ts. */
export const LAYER_NORMALIZATION_GRADIENT = 'LayerNormalizationGradient';
/** The gradient of Softmax; see autodiff/functions/softmax-gradient.ts. */
export const SOFTMAX_GRADIENT = 'SoftmaxGradient';
/** The gradient of Gelu; see autodiff/functions/gelu-gradient.ts. */
export const GELU_GRADIENT = 'GeluGradient';

/** Rounding to a grid of integers and back; see train/fake-quantize.ts. */
export const FAKE_QUANTIZE = 'FakeQuantize';
/** The gradient of FakeQuantize; see train/fake-quantize.ts. */
export const FAKE_QUANTIZE_GRADIENT = 'FakeQuantizeGradient';
