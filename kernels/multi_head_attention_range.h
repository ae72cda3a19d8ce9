// The computation of attention of several heads with products of floats. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>

#include "attention_core.h"
#include "cache_line.h"
#include "multi_head_attention.h"
#include "quantize_rows.h"
#include "transpose_floats.h"

namespace dino8 {
namespace {

// The memory of a task, see AttentionHead. Each part begins at a cache line, since vectors that lie in two lines take twice as
// long to load.
struct HeadScratch {
  int64_t padded, padded_size, bias_rows;
  std::unique_ptr<CacheLine[]> lines;
  float *queries, *keys, *values, *bias, *core;

  HeadScratch(const MultiHeadAttention& a, int64_t count, int64_t lanes)
      : padded(round_up(a.keys, lanes)), padded_size(round_up(a.size, lanes)), bias_rows(a.query_stride == 0 ? 1 : count) {
    const int64_t counts[] = {count * a.size, a.size * padded, a.keys * padded_size, bias_rows * padded,
                              kQueries * (padded + padded_size)};
    float** const parts[] = {&queries, &keys, &values, &bias, &core};
    constexpr int kParts = 5;
    int64_t starts[kParts + 1] = {};
    for (int part = 0; part < kParts; part++) starts[part + 1] = starts[part] + cache_lines(counts[part] * 4);
    lines.reset(new CacheLine[static_cast<size_t>(starts[kParts])]);
    for (int part = 0; part < kParts; part++)
      *parts[part] = reinterpret_cast<float*>(bytes_of(lines.get()) + starts[part] * 64);
  }
};

// Sets the rows of `to` [rows, padded] to what is added to the scores of a head's queries from `begin` on, and to minus infinity
// behind the last key.
inline void load_bias(const AttentionHeads& a, int64_t head, int64_t begin, int64_t rows, int64_t padded, float* to) {
  const float* bias = a.bias + head / a.heads * a.batch_stride + head % a.heads * a.head_stride + begin * a.query_stride;
  for (int64_t row = 0; row < rows; row++, bias += a.query_stride, to += padded) {
    if (a.key_stride == 0) std::fill_n(to, a.keys, *bias);
    else std::copy_n(bias, a.keys, to);
    std::fill(to + a.keys, to + padded, -std::numeric_limits<float>::infinity());
  }
}

inline void load_head(const MultiHeadAttention& a, int64_t head, int64_t begin, int64_t count, HeadScratch& scratch) {
  const int64_t image = head / a.heads, first = head % a.heads * a.size, channels = a.channels();
  for (int64_t row = 0; row < count; row++) {
    const float* from = a.query + (image * a.queries + begin + row) * channels + first;
    float* to = scratch.queries + row * a.size;
    for (int64_t at = 0; at < a.size; at++) to[at] = from[at] * a.scale;
  }
  const int64_t place = image * a.keys * channels + first;
  transpose_floats(a.key + place, channels, a.keys, a.size, scratch.keys, scratch.padded);
  for (int64_t at = 0; at < a.size; at++)
    std::fill(scratch.keys + at * scratch.padded + a.keys, scratch.keys + (at + 1) * scratch.padded, 0.0f);
  for (int64_t row = 0; row < a.keys; row++) {
    float* to = scratch.values + row * scratch.padded_size;
    std::copy_n(a.value + place + row * channels, a.size, to);
    std::fill(to + a.size, to + scratch.padded_size, 0.0f);
  }
  load_bias(a, head, begin, scratch.bias_rows, scratch.padded, scratch.bias);
}

// See `MultiHeadAttentionRange`.
template <class V>
void multi_head_attention_range(const MultiHeadAttention& a, int64_t head, int64_t begin, int64_t end) {
  const int64_t count = end - begin, image = head / a.heads;
  HeadScratch scratch(a, count, V::Lanes);
  load_head(a, head, begin, count, scratch);
  attend<V>({scratch.queries, a.size, scratch.keys, scratch.values, scratch.padded_size, scratch.bias,
             a.query_stride == 0 ? 0 : scratch.padded, nullptr, count, a.keys, scratch.padded, a.size,
             scratch.padded_size, scratch.core},
            [&](int64_t row, float* context, float factor) {
              for (int64_t at = 0; at < a.size; at++) context[at] *= factor;
              const int64_t place = (image * a.queries + begin + row) * a.channels() + head % a.heads * a.size;
              if (a.y) std::copy_n(context, a.size, a.y + place);
              if (a.y_bytes) quantize_row(context, a.size, a.y_range, a.y_bytes + place);
            });
}

}  // namespace
}  // namespace dino8
