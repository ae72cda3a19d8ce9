// Names and constants that the library shares with the TypeScript code. A test (src/runtime/kernels.test.ts) reads this
// file and compares each line with the constant that its comment names.
#pragma once

#include <cstdint>

namespace dino8 {

constexpr const char* kDomain = "ai.dino8";  // src/onnx/dino8-operators.ts: DOMAIN

// The entry of a session's configuration that asks for the operators of calibration and training.
constexpr const char* kTrainingEntry = "ai.dino8.training_operators";  // src/runtime/kernels.ts: TRAINING_ENTRY

// src/onnx/dino8-operators.ts
constexpr const char* kDeformableAttention = "MultiScaleDeformableAttention";      // DEFORMABLE_ATTENTION
constexpr const char* kProjectedDeformableAttention = "ProjectedDeformableAttention";  // PROJECTED_DEFORMABLE_ATTENTION
constexpr const char* kIntegerLinear = "IntegerLinear";                            // INTEGER_LINEAR
constexpr const char* kIntegerLinearScaled = "IntegerLinearScaled";                // INTEGER_LINEAR_SCALED
constexpr const char* kNormIntegerLinear = "NormIntegerLinear";                    // NORM_INTEGER_LINEAR
constexpr const char* kIntegerLinearAddNorm = "IntegerLinearAddNorm";              // INTEGER_LINEAR_ADD_NORM
constexpr const char* kFeedForward = "FeedForward";                                // FEED_FORWARD
constexpr const char* kFeedForwardAddNorm = "FeedForwardAddNorm";                  // FEED_FORWARD_ADD_NORM
constexpr const char* kFeedForwardGelu = "FeedForwardGelu";                        // FEED_FORWARD_GELU
constexpr const char* kFeedForwardGeluAddNorm = "FeedForwardGeluAddNorm";          // FEED_FORWARD_GELU_ADD_NORM
constexpr const char* kNormFeedForwardGeluAdd = "NormFeedForwardGeluAdd";          // NORM_FEED_FORWARD_GELU_ADD
constexpr const char* kProjectionFeedForward = "ProjectionFeedForward";            // PROJECTION_FEED_FORWARD
constexpr const char* kWindowAttention = "WindowAttention";                        // WINDOW_ATTENTION
constexpr const char* kIntegerWindowAttention = "IntegerWindowAttention";          // INTEGER_WINDOW_ATTENTION
constexpr const char* kFusionAttention = "FusionAttention";                        // FUSION_ATTENTION
constexpr const char* kNormFusionAttentionAdd = "NormFusionAttentionAdd";          // NORM_FUSION_ATTENTION_ADD
constexpr const char* kMultiHeadAttention = "MultiHeadAttention";                  // MULTI_HEAD_ATTENTION
constexpr const char* kIntegerMultiHeadAttention = "IntegerMultiHeadAttention";    // INTEGER_MULTI_HEAD_ATTENTION
constexpr const char* kGroupNormLevels = "GroupNormLevels";                        // GROUP_NORM_LEVELS
constexpr const char* kPatchEmbedding = "PatchEmbedding";                          // PATCH_EMBEDDING
constexpr const char* kPatchMerging = "PatchMerging";                              // PATCH_MERGING
constexpr const char* kSineEmbedding = "SineEmbedding";                            // SINE_EMBEDDING
constexpr const char* kProposalScores = "ProposalScores";                          // PROPOSAL_SCORES
constexpr const char* kAdd = "Add";                                                // ADD
constexpr const char* kQuantized = "Quantized";                                    // QUANTIZED
constexpr const char* kAndSum = "AndSum";                                          // AND_SUM
constexpr const char* kAndGatheredSum = "AndGatheredSum";                          // AND_GATHERED_SUM
constexpr const char* kRounded = "Rounded";                                        // ROUNDED
constexpr const char* kObserve = "Observe";                                        // OBSERVE
constexpr const char* kLayerNormalizationGradient = "LayerNormalizationGradient";  // LAYER_NORMALIZATION_GRADIENT
constexpr const char* kSoftmaxGradient = "SoftmaxGradient";                        // SOFTMAX_GRADIENT
constexpr const char* kFakeQuantize = "FakeQuantize";                              // FAKE_QUANTIZE
constexpr const char* kFakeQuantizeGradient = "FakeQuantizeGradient";              // FAKE_QUANTIZE_GRADIENT

// The name that src/autodiff/function-gradient.ts gives to the gradient of deformable attention with respect to its
// values, offsets and logits.
constexpr const char* kDeformableAttentionGradient =
    "MultiScaleDeformableAttentionGradient_value_sampling_offsets_attention_logits";

// src/quant/observe/histogram.ts
constexpr int64_t kBinsPerSide = 2048;  // BINS_PER_SIDE
constexpr int kMinimumExponent = -111;  // MINIMUM_EXPONENT

}  // namespace dino8
