// Multi-scale deformable attention (Zhu et al. 2020, https://arxiv.org/abs/2010.04159). This is the computation of the
// ONNX function ai.dino8::MultiScaleDeformableAttention; src/models/grounding-dino/deformable-attention.ts describes
// its inputs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "packed_weight.h"

namespace dino8 {

constexpr int64_t kMaxLevels = 16;
constexpr int64_t kMaxSamples = 1024;  // levels x points of one head

// The element type of the values.
enum class ValueType { kFloat, kUint8, kInt8 };

// The tensors and the dimensions of one run of the operator.
struct DeformableAttention {
  const void* value;  // [batch, positions, heads, size]; a number is (value - value_zero_point) * value_scale
  ValueType value_type;
  float value_scale, value_zero_point;
  const float* reference_points;  // [batch, queries, levels, 2]
  const float* offset_scale;      // [batch, queries, levels, 2] by the strides below, which may be 0
  const float* sampling_offsets;  // [batch, queries, heads, levels, points, 2]
  const float* attention_logits;  // [batch, queries, heads, levels * points]
  float* output;                  // [batch, queries, heads * size], or null
  uint8_t* output_bytes;          // the same, quantized by `output_range`, or null
  ByteRange output_range;
  int64_t batch, positions, heads, size, queries, levels, points;
  int64_t scale_batch_stride, scale_query_stride;                    // in floats
  int64_t height[kMaxLevels], width[kMaxLevels], start[kMaxLevels];  // of each level; `start` is its first position
};

// Computes the queries from `begin` to `end` - 1, which are numbered over the whole batch.
using QueryRange = void (*)(const DeformableAttention&, int64_t begin, int64_t end);

// The linear layers that offsets and logits are the results of.
struct QueryProjections {
  const uint8_t* queries;  // [batch, queries, depth]
  ByteRange range;         // of the queries
  PackedLayer offsets, logits;
};

// The same for values in bytes where offsets and logits are computed first; those of the tensors are not read.
using ProjectedQueryRange = void (*)(const DeformableAttention&, const QueryProjections&, int64_t begin, int64_t end);

}  // namespace dino8
