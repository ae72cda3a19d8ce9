// Multi-scale deformable attention (Zhu et al. 2020, https://arxiv.org/abs/2010.04159), the computation of the ONNX
// function ai.dino8::MultiScaleDeformableAttention: see src/model/deformable-attention.ts for what each input is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dino8 {

constexpr int64_t kMaxLevels = 16;
constexpr int64_t kMaxSamples = 1024;  // levels x points of one head

enum class ValueType { kFloat, kUint8, kInt8 };

struct DeformableAttention {
  const void* value;               // [batch, positions, heads, size], meaning (value - value_zero_point) * value_scale
  ValueType value_type;
  float value_scale, value_zero_point;
  const float* reference_points;   // [batch, queries, levels, 2]
  const float* offset_scale;       // broadcast to [batch, queries, levels, 2] by the strides below
  const float* sampling_offsets;   // [batch, queries, heads, levels, points, 2]
  const float* attention_logits;   // [batch, queries, heads, levels * points]
  float* output;                   // [batch, queries, heads * size]
  int64_t batch, positions, heads, size, queries, levels, points;
  int64_t scale_batch_stride, scale_query_stride;  // in floats
  int64_t height[kMaxLevels], width[kMaxLevels], start[kMaxLevels];
};

// Computes the queries begin … end − 1, counted over the whole batch.
using QueryRange = void (*)(const DeformableAttention&, int64_t begin, int64_t end);

}  // namespace dino8
