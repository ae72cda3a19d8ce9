// The attention of some windows with products of bytes. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <memory>

#include "cache_line.h"
#include "linear_layer.h"
#include "packed_activation.h"
#include "query_column_attention.h"
#include "quantize_rows.h"
#include "window_lines.h"

namespace dino8 {
namespace {

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
        !allocate(queries_, cache_lines(padded * key_steps_ * kStepDepth)) ||
        !allocate(values_, cache_lines(value_panels_ * kPanelColumns * padded)) || !allocate(query_sums_, padded) ||
        !allocate(key_sums_, padded) || !allocate(value_sums_, value_panels_ * kPanelColumns) ||
        !allocate(scores_, cache_lines(kColumns * padded * 4)) || !allocate(weights_, cache_lines(kColumns * padded)))
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
    // The numbers are computed in steps of the bytes.
    return [rows = bytes_of(rows_.get()), stride = stride_, scale = scale_.get(), bias = bias_.get(), highest = highest_.get(),
            zero_point = zero_point_.get()](int64_t row, int64_t column, int64_t, auto results) {
      take_vectors(results.width(), [=](auto vectors, int64_t at) {
        constexpr int kCount = vectors;
        IntVector nearest[kCount];
#pragma GCC unroll 4
        for (int64_t each = 0; each < kCount; each++) {
          const int64_t from = at + each * kFloatLanes, place = column + from;
          const FloatVector value =
              multiply_add(to_floats(results.sums(from)), load_floats(scale + place), load_floats(bias + place));
          nearest[each] = nearest_integers(smaller(load_floats(highest + place), value), load_ints(zero_point + place));
        }
        store_limited_bytes(rows + row * stride + column + at, nearest);
      });
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
  static constexpr int64_t kLine = sizeof(CacheLine), kColumns = SmallTile::kPanels * kPanelColumns;

  // `rows` are the queries of a head; its keys and values are as many channels behind them as there are channels.
  void attend_head(const uint8_t* rows, const float* bias, const float* const* masks, uint8_t* context,
                   int64_t stride) {
    const int64_t tokens = a_->tokens(), padded = a_->padded_tokens(), size = a_->head_size();
    const uint8_t* const keys = rows + a_->channels;
    int8_t* const queries = reinterpret_cast<int8_t*>(queries_.get());
    int8_t* const values = reinterpret_cast<int8_t*>(values_.get());
    pack_as_columns(rows, stride_, tokens, size, queries);
    pack_as_rows(rows + 2 * a_->channels, stride_, tokens, value_panels_, padded / kStepDepth, values);
    // Products are those of (query − its zero point) · (key − 128). The zero point of the keys needs no attention: it adds the same
    // number to all scores of a query, which softmax does not see.
    const int32_t lowered = kSignedOffset - a_->query.zero_point, all_lowered = lowered * static_cast<int32_t>(size);
    for (int64_t key = 0; key < tokens; key++) key_sums_[key] = lowered * sum_of_bytes(keys + key * stride_, size);
    sum_columns(queries, padded / kPanelColumns, key_steps_, query_sums_.get());
    for (int64_t query = 0; query < padded; query++)
      query_sums_[query] = SmallTile::kOffset * query_sums_[query] - kSignedOffset * (query_sums_[query] + all_lowered);
    if (SmallTile::kOffset != 0) {
      sum_columns(values, value_panels_, padded / kStepDepth, value_sums_.get());
      for (int64_t column = 0; column < value_panels_ * kPanelColumns; column++) value_sums_[column] *= SmallTile::kOffset;
    }
    const QueryColumnHead head{tokens,
                               padded,
                               queries,
                               key_steps_,
                               query_sums_.get(),
                               keys,
                               stride_,
                               key_sums_.get(),
                               values,
                               value_panels_,
                               value_sums_.get(),
                               a_->query.scale * a_->key.scale * kInverseLn2,
                               bias,
                               masks,
                               floats_of(scores_.get()),
                               bytes_of(weights_.get())};
    // The result is computed in steps of its bytes.
    const float scale = a_->value.scale / a_->context.scale, zero = scale * static_cast<float>(a_->value.zero_point);
    const IntVector zero_point = IntVector{} + a_->context.zero_point;
    const FloatVector highest = all_floats(static_cast<float>(255 - a_->context.zero_point));
    attend_query_columns<SmallTile>(head, [=](int64_t query, int64_t column, const int32_t* sums, float inverse) {
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
  std::unique_ptr<CacheLine[]> queries_, values_;       // of one head, in panels
  std::unique_ptr<int32_t[]> query_sums_, key_sums_, value_sums_;  // see QueryColumnHead
  std::unique_ptr<CacheLine[]> scores_, weights_;                  // see QueryColumnHead
};

}  // namespace
}  // namespace dino8
