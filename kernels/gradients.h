// The operators of training that take most of its time. Each is the computation of an ONNX function of the domain
// ai.dino8; src/autodiff/functions describes the gradients, src/autodiff/function-gradient.ts that of deformable
// attention, and src/train/fake-quantize.ts fake quantization.
#pragma once

#include "deformable_attention.h"

namespace dino8 {

// The gradients of a deformable attention with respect to its values, offsets and logits, given that of its output.
struct DeformableAttentionGradient {
  DeformableAttention forward;   // `output` is not used; the values are floats
  const float* output_gradient;  // [batch, queries, heads * size]
  float* value_gradient;         // [batch, positions, heads, size]
  float* offset_gradient;        // [batch, queries, heads, levels, points, 2]
  float* logit_gradient;         // [batch, queries, heads, levels * points]
};

// Rows of a layer normalization or of a softmax.
struct GradientRows {
  const float* x;         // [rows, channels]; for a softmax, its result
  const float* gradient;  // [rows, channels], of the result
  float* x_gradient;      // [rows, channels]
  int64_t rows, channels;
};

// Rows of a value that is quantized and dequantized. Its scales lie in one of three ways: one scale for all rows
// (`channels` is 1), the scale number r % `channels` for the row r, or one scale for each element of a row
// (`per_element`; `channels` is then `inner`).
struct FakeQuantizeRows {
  const float* x;  // [rows, inner]
  int64_t rows, inner, channels;
  bool per_element;
  const float *scales, *zero_points;  // [channels]
  float lowest, highest;              // the range of the integers
};

// The kernels of one instruction set.
struct GradientKernels {
  // Computes all queries of one head of one image, so that no two tasks add to the same value.
  void (*deformable_attention_head)(const DeformableAttentionGradient&, int64_t image, int64_t head);
  // Writes the gradient of x, and adds to the gradients of scale and bias, [channels] each.
  void (*layer_normalization)(const GradientRows&, const float* scale, float epsilon, float* scale_gradient,
                              float* bias_gradient);
  // Writes the gradient of x.
  void (*softmax)(const GradientRows&);
  // Writes y, [rows, inner].
  void (*fake_quantize)(const FakeQuantizeRows&, float* y);
  // Writes the gradient of x, and adds to the gradients of the scales, [channels].
  void (*fake_quantize_gradient)(const FakeQuantizeRows&, const float* gradient, float* x_gradient, float* by_scale);
};

}  // namespace dino8
