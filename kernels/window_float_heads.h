// The attention of some windows with products of floats. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "attention_core.h"
#include "linear_layer.h"
#include "quantize_rows.h"
#include "window_lines.h"

namespace dino8 {
namespace {

// Has the interface that window_attention_windows.h describes.
template <class V, class Tile>
class WindowFloatHeads {
 public:
  bool set(const WindowAttention& attention, int64_t windows) {
    a_ = &attention;
    const int64_t tokens = a_->tokens(), padded = a_->padded_tokens(), all = windows * tokens;
    padded_size_ = round_up(a_->head_size(), V::Lanes);
    if (!allocate(queries_, all * a_->channels) || !allocate(keys_, windows * a_->channels * padded) ||
        !allocate(values_, all * a_->heads * padded_size_) || !allocate(core_, kQueries * (padded + padded_size_)) ||
        !allocate(key_of_, all) || !allocate(value_of_, all) || !allocate(pieces_, 3 * a_->channels) ||
        !allocate(first_piece_, a_->projections.panels() + 1))
      return false;
    for (int64_t row = 0; row < all; row++) {
      const int64_t window = row / tokens, token = row % tokens;
      key_of_[row] = window * a_->channels * padded + token;
      value_of_[row] = (window * a_->heads * tokens + token) * padded_size_;
    }
    set_pieces();
    return true;
  }

  void store(int64_t row, int64_t column, PanelResults results) {
    float numbers[kPanelColumns];
    results.store(numbers);
    const float* from = numbers;
    const int64_t panel = column / kPanelColumns;
    for (int64_t each = first_piece_[panel]; each < first_piece_[panel + 1]; each++) {
      const Piece& piece = pieces_[each];
      if (piece.kind == kQuery) {
        float* to = queries_.get() + row * a_->channels + piece.start;
        for (int64_t at = 0; at < piece.count; at++) to[at] = from[at] * a_->query_scale;
      } else if (piece.kind == kKey) {
        float* to = keys_.get() + key_of_[row] + piece.start;
        const int64_t stride = a_->padded_tokens();
        for (int64_t at = 0; at < piece.count; at++) to[at * stride] = from[at];
      } else {
        std::copy(from, from + piece.count, values_.get() + value_of_[row] + piece.start);
      }
      from += piece.count;
    }
  }

  void attend(int64_t window, const float* const* masks, uint8_t* context, int64_t stride) {
    const int64_t tokens = a_->tokens(), channels = a_->channels, padded = a_->padded_tokens(), size = a_->head_size();
    float* const rows = queries_.get() + window * tokens * channels;
    for (int64_t head = 0; head < a_->heads; head++)
      dino8::attend<V>({rows + head * size, channels, keys_.get() + (window * channels + head * size) * padded,
                        values_.get() + (window * a_->heads + head) * tokens * padded_size_,
                        a_->position_bias + head * tokens * padded, padded, masks, tokens, tokens, padded, size,
                        padded_size_, rows + head * size, core_.get()});
    for (int64_t token = 0; token < tokens; token++)
      quantize_row(rows + token * channels, channels, a_->context, context + token * stride);
  }

 private:
  enum Kind { kQuery, kKey, kValue };
  // Columns of the projections that lie in one place. `start` counts from the place of the token.
  struct Piece {
    Kind kind;
    int64_t start, count;
  };

  void set_pieces() {
    const int64_t size = a_->head_size(), columns = a_->projections.columns;
    int64_t found = 0, column = 0;
    for (int64_t panel = 0; panel < a_->projections.panels(); panel++) {
      first_piece_[panel] = found;
      for (const int64_t end = std::min((panel + 1) * kPanelColumns, columns); column < end; found++) {
        const auto kind = static_cast<Kind>(column / a_->channels);
        const int64_t inner = column % a_->channels, head = inner / size, in_head = inner % size;
        const int64_t rest = kind == kValue ? size - in_head : a_->channels - inner;
        const int64_t start = kind == kQuery ? inner
                              : kind == kKey ? inner * a_->padded_tokens()
                                             : head * a_->tokens() * padded_size_ + in_head;
        pieces_[found] = {kind, start, std::min(end - column, rest)};
        column += pieces_[found].count;
      }
    }
    first_piece_[a_->projections.panels()] = found;
  }

  const WindowAttention* a_ = nullptr;
  int64_t padded_size_ = 0;                        // of a head, a multiple of the lanes of a vector
  std::unique_ptr<float[]> queries_;               // [windows · tokens, channels], scaled; then the context
  std::unique_ptr<float[]> keys_;                  // [windows, channels, padded tokens]
  std::unique_ptr<float[]> values_;                // [windows, heads, tokens, padded size]
  std::unique_ptr<float[]> core_;                  // see AttentionHead
  std::unique_ptr<int64_t[]> key_of_, value_of_;   // [windows · tokens]
  std::unique_ptr<Piece[]> pieces_;
  std::unique_ptr<int64_t[]> first_piece_;  // of each panel of the projections, and the number of all
};

}  // namespace
}  // namespace dino8
