// The attention of some windows with products of floats. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "attention_core.h"
#include "cache_line.h"
#include "linear_layer.h"
#include "quantize_rows.h"
#include "transpose_floats.h"
#include "window_lines.h"

namespace dino8 {
namespace {

// Has the interface that window_attention_windows.h describes.
template <class V, class Tile>
class WindowFloatHeads {
 public:
  bool set(const WindowAttention& attention, int64_t windows) {
    a_ = &attention;
    const int64_t padded = a_->padded_tokens(), columns = a_->projections.panels() * kPanelColumns;
    padded_size_ = round_up(a_->head_size(), V::Lanes);
    // Rows whose distance is an even number of cache lines would share some places of the first-level cache.
    constexpr int64_t kLine = sizeof(CacheLine) / sizeof(float);
    stride_ = (columns / kLine | 1) * kLine;
    // The values of the last head, and the last sums, are read by whole vectors.
    if (!allocate(rows_, windows * a_->tokens() * stride_ + V::Lanes) || !allocate(factors_, columns) ||
        !allocate(keys_, a_->head_size() * padded) ||
        !allocate(core_, kQueries * (padded + padded_size_) + kPanelColumns))
      return false;
    std::fill_n(factors_.get(), columns, 1.0f);
    std::fill_n(factors_.get(), a_->channels, a_->query_scale);
    return true;
  }

  auto receiver() {
    return [rows = rows_.get(), stride = stride_, factors = factors_.get()](int64_t row, int64_t column, int64_t,
                                                                            auto results) {
      float* const to = rows + row * stride + column;
      for (int64_t at = 0; at < results.width(); at += kFloatLanes)
        store_floats(to + at, results.vector(at) * load_floats(factors + column + at));
    };
  }

  void attend(int64_t window, const float* const* masks, uint8_t* context, int64_t stride) {
    const int64_t tokens = a_->tokens(), channels = a_->channels, padded = a_->padded_tokens(), size = a_->head_size();
    const float inverse = 1 / a_->context.scale, zero_point = static_cast<float>(a_->context.zero_point);
    const float* const rows = rows_.get() + window * tokens * stride_;
    const bool has_last = tokens > 1 && tokens % V::Lanes == 1 && size % V::Lanes == 0;
    for (int64_t head = 0; head < a_->heads; head++) {
      const float* const queries = rows + head * size;
      const float* const keys = queries + channels;
      transpose_floats(keys, stride_, has_last ? tokens - 1 : tokens, size, keys_.get(), padded);
      dino8::attend<V>({queries, stride_, keys_.get(), queries + 2 * channels, stride_,
                        a_->position_bias + head * tokens * padded, padded, masks, tokens, tokens, padded, size,
                        padded_size_, core_.get(), has_last ? keys + (tokens - 1) * stride_ : nullptr},
                       [=, to = context + head * size](int64_t token, const float* sums, float factor) {
                         for (int64_t at = 0; at < size; at += kPanelColumns) {
                           IntVector bytes[kPanelColumns / kFloatLanes];
                           for (int64_t lane = 0; lane < kPanelColumns; lane += kFloatLanes)
                             bytes[lane / kFloatLanes] =
                                 to_byte(load_floats(sums + at + lane) * factor, inverse, zero_point);
                           // The bytes behind the head are overwritten by the next one, or are unused.
                           store_bytes(to + token * stride + at, bytes);
                         }
                       });
    }
  }

 private:
  const WindowAttention* a_ = nullptr;
  int64_t padded_size_ = 0;           // of a head, a multiple of the lanes of a vector
  int64_t stride_ = 0;                // of the rows
  std::unique_ptr<float[]> rows_;     // [windows · tokens, stride]: queries, keys and values
  std::unique_ptr<float[]> factors_;  // of the columns: the queries are scaled
  std::unique_ptr<float[]> keys_;     // of one head, transposed: [size, padded tokens]
  std::unique_ptr<float[]> core_;     // see AttentionHead
};

}  // namespace
}  // namespace dino8
