// The attention of some windows with products of bytes. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "attention_core.h"
#include "linear_layer.h"
#include "packed_activation.h"
#include "quantize_rows.h"
#include "window_lines.h"

namespace dino8 {
namespace {

// Has the interface that window_attention_windows.h describes. The zero point of the keys needs no attention: it adds the
// same number to all scores of a row, which softmax does not see.
template <class V, class Tile>
class WindowByteHeads {
 public:
  bool set(const WindowAttention& attention, int64_t windows) {
    a_ = &attention;
    const int64_t size = a_->head_size(), padded = a_->padded_tokens();
    stride_ = a_->projections.panels() * kPanelColumns;
    key_steps_ = (size + kStepDepth - 1) / kStepDepth;
    value_panels_ = (size + kPanelColumns - 1) / kPanelColumns;
    const int64_t most = std::max(padded, value_panels_ * kPanelColumns);
    // The panels are copied whole, so that up to a panel more than the last row has is read.
    if (!allocate(bytes_, windows * a_->tokens() * stride_ + kPanelColumns) || !allocate(inverse_, stride_) ||
        !allocate(zero_point_, stride_) || !allocate(keys_, padded * key_steps_ * kStepDepth) ||
        !allocate(values_, value_panels_ * kPanelColumns * padded) || !allocate(key_sums_, padded) ||
        !allocate(value_sums_, value_panels_ * kPanelColumns) || !allocate(scale_, most) || !allocate(value_scale_, most) || !allocate(zeros_, most) ||
        !allocate(scores_, kRows * padded) || !allocate(weights_, kRows * padded))
      return false;
    std::fill_n(scale_.get(), most, a_->query.scale * a_->key.scale);
    std::fill_n(value_scale_.get(), most, a_->weights.scale * a_->value.scale);
    for (int64_t column = 0; column < 3 * a_->channels; column++) {
      const int64_t part = column / a_->channels;
      inverse_[column] = part == 0 ? a_->query_scale / a_->query.scale : 1 / (part == 1 ? a_->key : a_->value).scale;
      zero_point_[column] =
          part == 0 ? a_->query.zero_point : (part == 1 ? a_->key : a_->value).zero_point + kHalfRange;
    }
    return true;
  }

  auto receiver() {
    return [to = bytes_.get(), stride = stride_, inverse = inverse_.get(), zero_point = zero_point_.get()](
               int64_t row, int64_t column, int64_t, RowResults results) {
      for (int64_t first = 0; first < results.width; first += kPanelColumns) {
        IntVector bytes[kPanelColumns / kFloatLanes];
        for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes) {
          const int64_t place = column + first + at;
          bytes[at / kFloatLanes] =
              to_byte(results.vector(first + at), load_floats(inverse + place), load_ints(zero_point + place));
        }
        store_bytes(to + row * stride + column + first, bytes);
      }
    };
  }

  void attend(int64_t window, const float* const* masks, uint8_t* context, int64_t stride) {
    const uint8_t* rows = bytes_.get() + window * a_->tokens() * stride_;
    for (int64_t head = 0; head < a_->heads; head++)
      attend_head(rows + head * a_->head_size(), a_->position_bias + head * a_->tokens() * a_->padded_tokens(), masks,
                  context + head * a_->head_size(), stride);
  }

 private:
  // So many queries are computed together.
  static constexpr int64_t kRows = 64;
  static constexpr int32_t kHalfRange = 128;

  // `rows` are the queries of a head; its keys and values are as many channels behind them as there are channels.
  void attend_head(const uint8_t* rows, const float* bias, const float* const* masks, uint8_t* context,
                   int64_t stride) {
    const int64_t tokens = a_->tokens(), padded = a_->padded_tokens(), size = a_->head_size();
    // The zero point of the values adds this to each product with a row of weights, times the sum of the row's steps.
    const float value_rest = static_cast<float>(a_->value.zero_point) * a_->weights.scale * a_->value.scale;
    pack_as_columns(rows + a_->channels, stride_, tokens, size, keys_.get());
    pack_as_rows(rows + 2 * a_->channels, stride_, tokens, value_panels_, padded / kStepDepth, values_.get());
    sum_columns(keys_.get(), padded / kPanelColumns, key_steps_, key_sums_.get());
    sum_columns(values_.get(), value_panels_, padded / kStepDepth, value_sums_.get());
    const PackedLayer keys{keys_.get(), key_steps_ * kStepDepth, padded, key_sums_.get(), scale_.get(), zeros_.get()};
    const PackedLayer values{values_.get(), padded, size, value_sums_.get(), value_scale_.get(), zeros_.get()};
    for (int64_t first = 0; first < tokens; first += kRows) {
      const int64_t count = std::min(kRows, tokens - first);
      linear_layer_by_rows<typename Tile::Small>(rows + first * stride_, count, stride_, keys, a_->query.zero_point,
                                 [&](int64_t row, int64_t column, int64_t columns, RowResults results) {
                                   results.store(scores_.get() + row * padded + column, columns);
                                 });
      for (int64_t row = 0; row < count; row++) {
        float* const scores = scores_.get() + row * padded;
        const float total = exponential_row<V>(scores, padded, bias + (first + row) * padded,
                                               masks == nullptr ? nullptr : masks[first + row]);
        const int32_t sum = quantize_row_and_sum(scores, padded, {a_->weights.scale * total, a_->weights.zero_point},
                                                 weights_.get() + row * padded);
        value_rest_[row] = static_cast<float>(sum - static_cast<int32_t>(padded) * a_->weights.zero_point) * value_rest;
      }
      const float inverse = 1 / a_->context.scale, zero_point = static_cast<float>(a_->context.zero_point);
      linear_layer_by_panels<typename Tile::Small>(
          weights_.get(), count, padded, values, a_->weights.zero_point,
          [&, inverse, zero_point](int64_t row, int64_t column, int64_t, PanelResults results) {
            IntVector bytes[kPanelColumns / kFloatLanes];
            for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes)
              bytes[at / kFloatLanes] = to_byte(results.vector(at) - value_rest_[row], inverse, zero_point);
            // The columns that fill up the panel are overwritten by the next head, or are unused.
            store_bytes(context + (first + row) * stride + column, bytes);
          });
    }
  }

  const WindowAttention* a_ = nullptr;
  int64_t stride_ = 0, key_steps_ = 0, value_panels_ = 0;
  std::unique_ptr<uint8_t[]> bytes_;  // [windows · tokens, stride]: queries, keys and values side by side
  std::unique_ptr<float[]> inverse_;  // [stride]: of the scales of the bytes
  std::unique_ptr<int32_t[]> zero_point_;                // [stride]
  std::unique_ptr<int8_t[]> keys_, values_;              // of one head, in panels
  std::unique_ptr<int32_t[]> key_sums_, value_sums_;     // of the columns
  std::unique_ptr<float[]> scale_, value_scale_, zeros_; // of scores and results
  std::unique_ptr<float[]> scores_;                      // [rows, padded tokens]
  std::unique_ptr<uint8_t[]> weights_;                   // [rows, padded tokens]
  float value_rest_[kRows];
};

}  // namespace
}  // namespace dino8
