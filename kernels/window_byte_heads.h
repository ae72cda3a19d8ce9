// The attention of some windows with products of bytes. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "cache_line.h"
#include "integer_attention_core.h"
#include "linear_layer.h"
#include "packed_activation.h"
#include "quantize_rows.h"
#include "window_lines.h"

namespace dino8 {
namespace {

// The bias of a head and the masks of a window, see attend_with_bytes. Both are made for scores that are exponents of two. The zero
// point of the keys needs no attention: it adds the same number to all scores of a query, which softmax does not see.
struct WindowScoreBias {
  static constexpr bool kIsAdded = true;
  static constexpr float kFactor = 1;
  const float* rows;
  int64_t stride;
  const float* const* masks;  // null if nothing is masked

  int32_t rest(int64_t) const { return 0; }
  FloatVector add(int64_t query, int64_t key, FloatVector scores) const {
    const FloatVector sum = scores + load_floats(rows + query * stride + key);
    return masks == nullptr ? sum : sum + load_floats(masks[query] + key);
  }
};

// Has the interface that window_attention_windows.h describes.
template <class V, class Tile>
class WindowByteHeads {
 public:
  bool set(const WindowAttention& attention, int64_t windows) {
    a_ = &attention;
    const int64_t size = a_->head_size(), padded = a_->padded_tokens(), columns = a_->projections.panels() * kPanelColumns;
    // Rows whose distance is an even number of cache lines would share some places of the first-level cache.
    stride_ = (cache_lines(columns) | 1) * kLine;
    key_steps_ = (size + kStepDepth - 1) / kStepDepth;
    value_panels_ = (size + kPanelColumns - 1) / kPanelColumns;
    // The panels are copied whole, so that up to a panel more than the last row has is read.
    if (!allocate(rows_, cache_lines(windows * a_->tokens() * stride_ + kPanelColumns)) || !allocate(scale_, columns) ||
        !allocate(bias_, columns) || !allocate(zero_point_, columns) || !allocate(highest_, columns) ||
        !allocate(keys_, cache_lines(padded * key_steps_ * kStepDepth)) ||
        !allocate(values_, cache_lines(value_panels_ * kPanelColumns * padded)) || !allocate(key_sums_, padded) ||
        !allocate(value_sums_, value_panels_ * kPanelColumns) ||
        !allocate(scores_, cache_lines(SmallTile::kRows * padded * 4)) || !allocate(weights_, cache_lines(SmallTile::kRows * padded)))
      return false;
    for (int64_t column = 0; column < columns; column++) {
      const int64_t part = column / a_->channels;
      const ByteRange range = part == 0 ? a_->query : part == 1 ? a_->key : a_->value;
      const float inverse = (part == 0 ? a_->query_scale : 1) / range.scale;
      scale_[column] = a_->projections.scale[column] * inverse;
      bias_[column] = a_->projections.bias[column] * inverse;
      zero_point_[column] = range.zero_point + (part == 0 ? 0 : kSignedOffset);
      highest_[column] = static_cast<float>(255 - zero_point_[column]);
    }
    return true;
  }

  auto receiver() {
    return [this](int64_t row, int64_t column, int64_t, RowResults results) {
      uint8_t* const to = bytes_of(rows_.get()) + row * stride_ + column;
      int64_t at = 0;
      for (; at + 4 * kFloatLanes <= results.width; at += 4 * kFloatLanes) store_rounded<4>(results, column, at, to);
      for (; at < results.width; at += kPanelColumns) store_rounded<kPanelColumns / kFloatLanes>(results, column, at, to);
    };
  }

  void attend(int64_t window, const float* const* masks, uint8_t* context, int64_t stride) {
    const uint8_t* rows = bytes_of(rows_.get()) + window * a_->tokens() * stride_;
    for (int64_t head = 0; head < a_->heads; head++)
      attend_head(rows + head * a_->head_size(), a_->position_bias + head * a_->tokens() * a_->padded_tokens(), masks,
                  context + head * a_->head_size(), stride);
  }

 private:
  using SmallTile = typename Tile::Small;
  static constexpr int64_t kLine = sizeof(CacheLine);

  // Stores the bytes of `Count` vectors of a row of projections. Their numbers are computed in steps of the bytes.
  template <int Count>
  void store_rounded(const RowResults& results, int64_t column, int64_t at, uint8_t* to) const {
    IntVector nearest[Count];
    for (int64_t each = 0; each < Count; each++) {
      const int64_t from = at + each * kFloatLanes, place = column + from;
      const FloatVector value =
          multiply_add(to_floats(load_ints(results.sums + from)), load_floats(scale_.get() + place), load_floats(bias_.get() + place));
      nearest[each] = nearest_integers(smaller(load_floats(highest_.get() + place), value), load_ints(zero_point_.get() + place));
    }
    store_limited_bytes(to + at, nearest);
  }

  // `rows` are the queries of a head; its keys and values are as many channels behind them as there are channels.
  void attend_head(const uint8_t* rows, const float* bias, const float* const* masks, uint8_t* context,
                   int64_t stride) {
    const int64_t tokens = a_->tokens(), padded = a_->padded_tokens(), size = a_->head_size();
    int8_t* const keys = reinterpret_cast<int8_t*>(keys_.get());
    int8_t* const values = reinterpret_cast<int8_t*>(values_.get());
    pack_as_columns(rows + a_->channels, stride_, tokens, size, keys);
    pack_as_rows(rows + 2 * a_->channels, stride_, tokens, value_panels_, padded / kStepDepth, values);
    sum_columns(keys, padded / kPanelColumns, key_steps_, key_sums_.get());
    for (int64_t key = 0; key < padded; key++) key_sums_[key] *= SmallTile::kOffset - a_->query.zero_point;
    if (SmallTile::kOffset != 0) {
      sum_columns(values, value_panels_, padded / kStepDepth, value_sums_.get());
      for (int64_t column = 0; column < value_panels_ * kPanelColumns; column++) value_sums_[column] *= SmallTile::kOffset;
    }
    const IntegerHead head{rows,
                           stride_,
                           keys,
                           key_steps_,
                           key_sums_.get(),
                           values,
                           value_panels_,
                           value_sums_.get(),
                           a_->query.scale * a_->key.scale * kInverseLn2,
                           tokens,
                           tokens,
                           padded,
                           floats_of(scores_.get()),
                           bytes_of(weights_.get())};
    // The result is computed in steps of its bytes.
    const float scale = a_->value.scale / a_->context.scale, zero = scale * static_cast<float>(a_->value.zero_point);
    const IntVector zero_point = IntVector{} + a_->context.zero_point;
    const FloatVector highest = all_floats(static_cast<float>(255 - a_->context.zero_point));
    attend_with_bytes<SmallTile>(
        head, WindowScoreBias{bias, padded, masks},
        [=](int64_t query, int64_t column, const int32_t* sums, float inverse) {
          IntVector nearest[kPanelColumns / kFloatLanes];
          for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes) {
            const FloatVector value = to_floats(load_ints(sums + at)) * (scale * inverse) - zero;
            nearest[at / kFloatLanes] = nearest_integers(smaller(highest, value), zero_point);
          }
          // The columns that fill up the panel are overwritten by the next head, or are unused.
          store_limited_bytes(context + query * stride + column, nearest);
        });
  }

  const WindowAttention* a_ = nullptr;
  int64_t stride_ = 0, key_steps_ = 0, value_panels_ = 0;
  std::unique_ptr<CacheLine[]> rows_;  // [windows · tokens, stride]: bytes of queries, keys and values side by side
  // For each column of the projections: its scale and bias, both divided by the scale of the bytes, and the highest value that a
  // byte can hold.
  std::unique_ptr<float[]> scale_, bias_, highest_;
  std::unique_ptr<int32_t[]> zero_point_;               // the same
  std::unique_ptr<CacheLine[]> keys_, values_;          // of one head, in panels
  std::unique_ptr<int32_t[]> key_sums_, value_sums_;    // see IntegerHead
  std::unique_ptr<CacheLine[]> scores_, weights_;       // see IntegerHead
};

}  // namespace
}  // namespace dino8
