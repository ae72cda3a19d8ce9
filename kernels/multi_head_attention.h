// Attention of several heads, softmax(q · kᵀ · scale + bias) · v (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762), with
// products of floats or of bytes.
#pragma once

#include "packed_weight.h"

namespace dino8 {

// What does not depend on the type of queries, keys and values.
struct AttentionHeads {
  int64_t batch = 0, queries = 0, keys = 0, heads = 0, size = 0;  // `size` channels belong to a head
  float scale = 1;
  // Added to the score of a query and a key, at the sum of each index by its stride. A stride is 0 where one number serves all.
  const float* bias = nullptr;
  int64_t batch_stride = 0, head_stride = 0, query_stride = 0, key_stride = 0;
  // [batch, queries, heads · size], as floats, as bytes, or both
  float* y = nullptr;
  uint8_t* y_bytes = nullptr;
  ByteRange y_range;

  int64_t channels() const { return heads * size; }
};

struct MultiHeadAttention : AttentionHeads {
  const float* query = nullptr;  // [batch, queries, heads · size]
  const float* key = nullptr;    // [batch, keys, heads · size]
  const float* value = nullptr;  // [batch, keys, heads · size]
};

// The weights of keys are bytes relative to the largest one of a query, round(255 · e^(score − highest score)), and their
// sum divides the result.
struct IntegerMultiHeadAttention : AttentionHeads {
  const uint8_t* query = nullptr;  // shapes as above
  const uint8_t* key = nullptr;
  const uint8_t* value = nullptr;
  ByteRange query_range, key_range, value_range;
};

// Larger heads, or more keys, could have sums that 32 bits do not hold.
constexpr int64_t kMostHeadSize = 8192, kMostByteKeys = kMaxDepth - 1;

// Computes one head of one image for the queries from `begin` to before `end`; `head` counts the heads of all images.
using MultiHeadAttentionRange = void (*)(const MultiHeadAttention&, int64_t head, int64_t begin, int64_t end);
using IntegerMultiHeadAttentionRange = void (*)(const IntegerMultiHeadAttention&, int64_t head, int64_t begin, int64_t end);

}  // namespace dino8
