// Attention within windows of a map (Swin Transformer, Liu et al. 2021, https://arxiv.org/abs/2103.14030), with the
// normalization before it and the residual sum behind it.
#pragma once

#include "packed_weight.h"

namespace dino8 {

// Rows of scores are filled up to a multiple of this, which is a multiple of the lanes of every vector type.
constexpr int64_t kScoreStep = 16;

// y = x + projection(attention(layer normalization of x)). The map is padded at its ends to whole windows, whose tokens
// have no number other than the biases of the projections, and rolled by `shift` positions up and to the left.
struct WindowAttention {
  const float* x = nullptr;  // [batch, height, width, channels]
  int64_t batch = 0, height = 0, width = 0, channels = 0;
  int64_t window = 0, shift = 0, heads = 0;
  const float* norm_scale = nullptr;  // [channels]
  const float* norm_bias = nullptr;   // [channels]
  float norm_epsilon = 0;
  ByteRange input;
  PackedLayer projections;  // to queries, keys and values, one after the other: 3 · channels columns
  float query_scale = 0;
  // [heads, queries, keys], whose rows are padded_tokens long, with minus infinity at their ends; with products of bytes it is
  // [heads, keys, queries] with any numbers there, times 1 / ln 2
  const float* position_bias = nullptr;
  // The numbers that bytes stand for, if the products of attention are products of bytes. Keys and values are signed. The weights
  // of keys are bytes relative to the largest one of a query, whose sum divides the result.
  bool has_byte_products = false;
  ByteRange query, key, value;
  ByteRange context;
  PackedLayer output;
  ResidualRounding residual;
  float* y = nullptr;  // [batch, height, width, channels]; may be x

  int64_t tokens() const { return window * window; }
  int64_t padded_tokens() const { return round_up(tokens(), kScoreStep); }
  int64_t head_size() const { return channels / heads; }
  int64_t rows() const { return (height + window - 1) / window; }    // of windows
  int64_t columns() const { return (width + window - 1) / window; }  // of windows
  int64_t windows() const { return batch * rows() * columns(); }
  // The windows that are computed together, so that their rows fill the tiles of the linear layers and weights are read
  // once for all of them, while what is between the layers stays in a second-level cache.
  int64_t windows_at_a_time() const;
};

inline int64_t WindowAttention::windows_at_a_time() const {
  constexpr int64_t kRows = 200, kBytes = 1 << 20;
  const int64_t by_rows = kRows / tokens();
  const int64_t by_bytes = kBytes / (tokens() * channels * 3 * static_cast<int64_t>(sizeof(float)));
  const int64_t windows = by_rows < by_bytes ? by_rows : by_bytes;
  return windows > 1 ? windows : 1;
}

// Computes the windows from `begin` to before `end`. Returns false if there is not enough memory.
using WindowRange = bool (*)(const WindowAttention&, int64_t begin, int64_t end);

}  // namespace dino8
