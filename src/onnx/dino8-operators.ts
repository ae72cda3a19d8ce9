/**
 * The operators of dino8's own domain. Each is a model-local function with a standard body; the kernel library has faster
 * kernels under the same names.
 */

/** The domain of all operators below. */
export const DOMAIN = 'ai.dino8';

/** Multi-scale deformable attention; see models/grounding-dino/deformable-attention.ts. */
export const DEFORMABLE_ATTENTION = 'MultiScaleDeformableAttention';
/** The same of offsets and logits that are linear layers in integers; see quant/targets/ort-cpu/projected-attention-function.ts. */
export const PROJECTED_DEFORMABLE_ATTENTION = 'ProjectedDeformableAttention';

/** A linear layer in integers; see quant/targets/ort-cpu/linear-function.ts, as for the eight below. */
export const INTEGER_LINEAR = 'IntegerLinear';
/** The same, then a multiplication of each row by a number. */
export const INTEGER_LINEAR_SCALED = 'IntegerLinearScaled';
/** A linear layer in integers of a normalized x. */
export const NORM_INTEGER_LINEAR = 'NormIntegerLinear';
/** A linear layer in integers, then a residual sum and a layer normalization. */
export const INTEGER_LINEAR_ADD_NORM = 'IntegerLinearAddNorm';
/** Two linear layers in integers, one after the other. */
export const FEED_FORWARD = 'FeedForward';
/** The same, then a residual sum and a layer normalization. */
export const FEED_FORWARD_ADD_NORM = 'FeedForwardAddNorm';
/** Two linear layers in integers with a Gelu between them. */
export const FEED_FORWARD_GELU = 'FeedForwardGelu';
/** The same, then a residual sum and a layer normalization. */
export const FEED_FORWARD_GELU_ADD_NORM = 'FeedForwardGeluAddNorm';
/** Two linear layers of a normalized x with a Gelu between them, then the sum of x and their result. */
export const NORM_FEED_FORWARD_GELU_ADD = 'NormFeedForwardGeluAdd';

/** The output projection of an attention, then feed-forward layers; see quant/targets/ort-cpu/projection-function.ts. */
export const PROJECTION_FEED_FORWARD = 'ProjectionFeedForward';

/** Attention within windows of a map; see quant/targets/ort-cpu/window-attention-function.ts. */
export const WINDOW_ATTENTION = 'WindowAttention';
/** The same with products of integers in the attention. */
export const INTEGER_WINDOW_ATTENTION = 'IntegerWindowAttention';

/** Attention between an image and a text in both directions; see quant/targets/ort-cpu/fusion-function.ts. */
export const FUSION_ATTENTION = 'FusionAttention';
/** The same of a normalized image, then the sum of the normalized image and its result. */
export const NORM_FUSION_ATTENTION_ADD = 'NormFusionAttentionAdd';

/** Attention of several heads; see quant/targets/ort-cpu/multi-head-attention-function.ts. */
export const MULTI_HEAD_ATTENTION = 'MultiHeadAttention';
/** The same with products of integers; see quant/targets/ort-cpu/multi-head-attention-function.ts. */
export const INTEGER_MULTI_HEAD_ATTENTION = 'IntegerMultiHeadAttention';
/** The embedding of an image's patches, with a linear layer in integers; see quant/targets/ort-cpu/patch-embedding-function.ts. */
export const PATCH_EMBEDDING = 'PatchEmbedding';
/** The merging of neighbours of a map, with a linear layer in integers; see quant/targets/ort-cpu/patch-merging-function.ts. */
export const PATCH_MERGING = 'PatchMerging';

/** Group normalizations of the maps of four levels; see quant/targets/ort-cpu/group-norm-function.ts. */
export const GROUP_NORM_LEVELS = 'GroupNormLevels';

/** Sines and cosines at several wavelengths; see quant/targets/ort-cpu/sine-embedding-function.ts. */
export const SINE_EMBEDDING = 'SineEmbedding';

/** The best similarity of each image position with a token; see quant/targets/ort-cpu/proposal-scores-function.ts. */
export const PROPOSAL_SCORES = 'ProposalScores';

/** The end of the names of operators whose result is bytes, such as AddQuantized; see quant/targets/ort-cpu/quantize-results.ts. */
export const QUANTIZED = 'Quantized';
/** The end of the name of the operator that also writes the bytes of a sum with its result; see quant/targets/ort-cpu/fuse-fusion-sum.ts. */
export const AND_SUM = 'AndSum';
/** The same with a value whose rows are put together from those of a table. */
export const AND_GATHERED_SUM = 'AndGatheredSum';
/** The end of the names of operators with a residual sum of values in 8 bits; see quant/targets/ort-cpu/residual-sum.ts. */
export const ROUNDED = 'Rounded';
/** ONNX's operator, whose sum AddQuantized quantizes. */
export const ADD = 'Add';

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
