// The gradients that training asks for most, each the computation of an ONNX function of the domain ai.dino8: see
// src/autodiff/functions, and src/autodiff/function-gradient.ts for that of deformable attention.
#pragma once

#include "deformable_attention.h"

namespace dino8 {

// The gradients of a deformable attention by its values, offsets and logits, given that of its output.
struct DeformableAttentionGradient {
  DeformableAttention forward;      // `output` is not used; the values are floats
  const float* output_gradient;     // [batch, queries, heads * size]
  float* value_gradient;            // [batch, positions, heads, size]
  float* offset_gradient;           // [batch, queries, heads, levels, points, 2]
  float* logit_gradient;            // [batch, queries, heads, levels * points]
};

// Rows of a layer normalisation or a softmax.
struct GradientRows {
  const float* x;         // [rows, channels]; of a softmax, its result
  const float* gradient;  // of the result
  float* x_gradient;
  int64_t rows, channels;
};

// Rows of a value that is quantized and back. Each row has a scale of its own kind: one for all rows, one for every
// `channels`-th row, or one for each element of a row (`per_element`: `channels` is then `inner`).
struct FakeQuantizeRows {
  const float* x;
  int64_t rows, inner, channels;
  bool per_element;
  const float *scales, *zero_points;  // [channels]
  float lowest, highest;
};

struct GradientKernels {
  // One head of one image: all its queries, so that no two tasks add to the same value.
  void (*deformable_attention_head)(const DeformableAttentionGradient&, int64_t image, int64_t head);
  // Adds to the gradients of scale and bias, [channels] each.
  void (*layer_normalization)(const GradientRows&, const float* scale, float epsilon, float* scale_gradient,
                              float* bias_gradient);
  void (*softmax)(const GradientRows&);
  void (*fake_quantize)(const FakeQuantizeRows&, float* y);
  // Adds to the gradients of the scales, [channels].
  void (*fake_quantize_gradient)(const FakeQuantizeRows&, const float* gradient, float* x_gradient, float* by_scale);
};

}  // namespace dino8
