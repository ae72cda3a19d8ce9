// The computation of attention within windows. Some windows at a time go through all of it: their tokens are read from the
// map, and written back to it, by index, so that there is no tensor of windows. Everything here is in an unnamed namespace;
// see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <memory>
#include <new>

#include "add_norm.h"
#include "attention_core.h"
#include "linear_layer.h"
#include "quantize_rows.h"
#include "window_attention.h"

namespace dino8 {
namespace {

// The number that is added to the score of two tokens that a shifted window brings together from opposite borders.
constexpr float kAcrossBorders = -100;

// Tokens of a shifted window are of up to four groups, by the borders of the map that lie between them.
constexpr int64_t kGroups = 4;

template <class Number>
bool allocate(std::unique_ptr<Number[]>& memory, int64_t count) {
  memory.reset(new (std::nothrow) Number[static_cast<size_t>(count)]());
  return memory != nullptr;
}

// The memory of a task for some windows at a time, and where the projections of their tokens go.
class WindowScratch {
 public:
  std::unique_ptr<uint8_t[]> bytes;     // [windows · tokens, channels]
  std::unique_ptr<float[]> queries;     // [windows · tokens, channels], scaled
  std::unique_ptr<float[]> keys;        // [windows, channels, padded tokens]
  std::unique_ptr<float[]> values;      // [windows, heads, tokens, padded size]
  std::unique_ptr<float[]> normalized;  // [channels]
  std::unique_ptr<float[]> core;        // see AttentionHead
  std::unique_ptr<int64_t[]> places;    // [windows · tokens]: the positions in the map; −1 if a token is padding
  std::unique_ptr<float[]> masks;       // [groups, padded tokens]
  std::unique_ptr<const float*[]> mask_of;  // [tokens]
  int64_t padded_size = 0;                  // of a head, a multiple of the lanes of a vector

  // False if there is not enough memory. All is set to 0, because numbers that fill up rows are multiplied as well.
  bool set(const WindowAttention& attention, int64_t windows, int64_t lanes) {
    a = &attention;
    const int64_t tokens = a->tokens(), padded = a->padded_tokens(), all = windows * tokens;
    padded_size = (a->head_size() + lanes - 1) / lanes * lanes;
    if (!allocate(bytes, all * a->channels) || !allocate(queries, all * a->channels) ||
        !allocate(keys, windows * a->channels * padded) || !allocate(values, all * a->heads * padded_size) ||
        !allocate(normalized, a->channels) || !allocate(core, kQueries * (padded + padded_size)) ||
        !allocate(places, all) || !allocate(masks, kGroups * padded) || !allocate(mask_of, tokens) ||
        !allocate(key_of, all) || !allocate(value_of, all) || !allocate(pieces, 3 * a->channels) ||
        !allocate(first_piece, a->projections.panels() + 1))
      return false;
    for (int64_t row = 0; row < all; row++) {
      const int64_t window = row / tokens, token = row % tokens;
      key_of[row] = window * a->channels * padded + token;
      value_of[row] = (window * a->heads * tokens + token) * padded_size;
    }
    set_pieces();
    return true;
  }

  // Stores the projections of a token from one panel: queries scaled, keys transposed, values by head.
  void store(int64_t row, int64_t panel, const float* from) {
    for (int64_t each = first_piece[panel]; each < first_piece[panel + 1]; each++) {
      const Piece& piece = pieces[each];
      if (piece.kind == kQuery) {
        float* to = queries.get() + row * a->channels + piece.start;
        for (int64_t at = 0; at < piece.count; at++) to[at] = from[at] * a->query_scale;
      } else if (piece.kind == kKey) {
        float* to = keys.get() + key_of[row] + piece.start;
        const int64_t stride = a->padded_tokens();
        for (int64_t at = 0; at < piece.count; at++) to[at * stride] = from[at];
      } else {
        std::copy(from, from + piece.count, values.get() + value_of[row] + piece.start);
      }
      from += piece.count;
    }
  }

 private:
  enum Kind { kQuery, kKey, kValue };
  // Columns of the projections that lie in one place. `start` counts from the place of the token.
  struct Piece {
    Kind kind;
    int64_t start, count;
  };

  void set_pieces() {
    const int64_t size = a->head_size(), columns = a->projections.columns;
    int64_t found = 0, column = 0;
    for (int64_t panel = 0; panel < a->projections.panels(); panel++) {
      first_piece[panel] = found;
      for (const int64_t end = std::min((panel + 1) * kPanelColumns, columns); column < end; found++) {
        const auto kind = static_cast<Kind>(column / a->channels);
        const int64_t inner = column % a->channels, head = inner / size, in_head = inner % size;
        const int64_t rest = kind == kValue ? size - in_head : a->channels - inner;
        const int64_t start = kind == kQuery ? inner
                              : kind == kKey ? inner * a->padded_tokens()
                                             : head * a->tokens() * padded_size + in_head;
        pieces[found] = {kind, start, std::min(end - column, rest)};
        column += pieces[found].count;
      }
    }
    first_piece[a->projections.panels()] = found;
  }

  const WindowAttention* a = nullptr;
  std::unique_ptr<int64_t[]> key_of, value_of;  // [windows · tokens]
  std::unique_ptr<Piece[]> pieces;
  std::unique_ptr<int64_t[]> first_piece;  // of each panel of the projections, and the number of all
};

// A row or a column of windows: where its tokens come from, and what shifting does to them.
struct WindowLine {
  int64_t first, length, shift, window;
  bool has_border;

  WindowLine(const WindowAttention& a, int64_t index, int64_t count)
      : first(index * a.window + a.shift), length(count * a.window), shift(a.shift), window(a.window),
        has_border(a.shift > 0 && index == count - 1) {}

  // The row or column of the map; from the size of the map on it is padding.
  int64_t source(int64_t at) const { return first + at < length ? first + at : first + at - length; }
  // Shifting brings rows from the opposite border into the last windows.
  int64_t group(int64_t at) const { return has_border && at >= window - shift ? 1 : 0; }
};

// The image of a window and its two lines.
struct WindowLines {
  int64_t image;
  WindowLine down, across;

  WindowLines(const WindowAttention& a, int64_t index)
      : image(index / (a.rows() * a.columns())),
        down(a, index / a.columns() % a.rows(), a.rows()),
        across(a, index % a.columns(), a.columns()) {}
};

inline void place_tokens(const WindowAttention& a, const WindowLines& lines, int64_t* places) {
  for (int64_t row = 0; row < a.window; row++)
    for (int64_t column = 0; column < a.window; column++) {
      const int64_t y = lines.down.source(row), x = lines.across.source(column);
      *places++ = y < a.height && x < a.width ? (lines.image * a.height + y) * a.width + x : -1;
    }
}

// Sets the rows that are added to the scores. Returns false if there is nothing to add in this window.
inline bool set_masks(const WindowAttention& a, const WindowLines& lines, WindowScratch& scratch) {
  if (!lines.down.has_border && !lines.across.has_border) return false;
  for (int64_t token = 0; token < a.tokens(); token++) {
    const int64_t group = 2 * lines.down.group(token / a.window) + lines.across.group(token % a.window);
    for (int64_t other = 0; other < kGroups; other++)
      scratch.masks[other * a.padded_tokens() + token] = other == group ? 0 : kAcrossBorders;
    scratch.mask_of[token] = scratch.masks.get() + group * a.padded_tokens();
  }
  return true;
}

template <class V, class Tile>
void attend_windows(const WindowAttention& a, int64_t begin, int64_t windows, WindowScratch& scratch) {
  const int64_t tokens = a.tokens(), channels = a.channels, all = windows * tokens, size = a.head_size();
  for (int64_t window = 0; window < windows; window++)
    place_tokens(a, {a, begin + window}, scratch.places.get() + window * tokens);
  for (int64_t row = 0; row < all; row++) {
    uint8_t* const bytes = scratch.bytes.get() + row * channels;
    const int64_t place = scratch.places[row];
    if (place < 0) {
      std::fill(bytes, bytes + channels, static_cast<uint8_t>(a.input.zero_point));
      continue;
    }
    layer_norm(a.x + place * channels, channels, a.norm_scale, a.norm_bias, a.norm_epsilon, scratch.normalized.get());
    quantize_row(scratch.normalized.get(), channels, a.input, bytes);
  }
  linear_layer<Tile>(scratch.bytes.get(), all, a.projections, a.input.zero_point,
                     [&](int64_t row, int64_t column, int64_t, const float* values) {
                       scratch.store(row, column / kPanelColumns, values);
                     });
  for (int64_t window = 0; window < windows; window++) {
    const bool has_masks = set_masks(a, {a, begin + window}, scratch);
    for (int64_t head = 0; head < a.heads; head++) {
      float* const queries = scratch.queries.get() + window * tokens * channels + head * size;
      attend<V>({queries, channels, scratch.keys.get() + (window * channels + head * size) * a.padded_tokens(),
                 scratch.values.get() + (window * a.heads + head) * tokens * scratch.padded_size,
                 a.position_bias + head * tokens * a.padded_tokens(), has_masks ? scratch.mask_of.get() : nullptr,
                 tokens, a.padded_tokens(), size, scratch.padded_size, queries, scratch.core.get()});
    }
  }
  quantize_row(scratch.queries.get(), all * channels, a.context, scratch.bytes.get());
  linear_layer<Tile>(scratch.bytes.get(), all, a.output, a.context.zero_point,
                     [&](int64_t row, int64_t column, int64_t count, const float* values) {
                       const int64_t place = scratch.places[row];
                       if (place < 0) return;
                       const float* x = a.x + place * channels + column;
                       float* y = a.y + place * channels + column;
                       for (int64_t at = 0; at < count; at++) y[at] = x[at] + values[at];
                     });
}

// See `WindowRange`.
template <class V, class Tile>
bool window_range(const WindowAttention& a, int64_t begin, int64_t end) {
  const int64_t most = std::min(a.windows_at_a_time(), end - begin);
  WindowScratch scratch;
  if (!scratch.set(a, most, V::Lanes)) return false;
  for (int64_t first = begin; first < end; first += most)
    attend_windows<V, Tile>(a, first, std::min(most, end - first), scratch);
  return true;
}

}  // namespace
}  // namespace dino8
