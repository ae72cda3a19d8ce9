// The places of a window's tokens in the map, and which of them attend to each other. Everything here is in an unnamed
// namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <memory>
#include <new>

#include "exponential.h"
#include "window_attention.h"

namespace dino8 {
namespace {

// The number that is added to the score of two tokens that a shifted window brings together from opposite borders.
constexpr float kAcrossBorders = -100;

// Tokens of a shifted window are of up to four groups, by the borders of the map that lie between them.
constexpr int64_t kGroups = 4;

// Sets `memory` to so many numbers, all 0. Returns false if there is not enough memory.
template <class Number>
bool allocate(std::unique_ptr<Number[]>& memory, int64_t count) {
  memory.reset(new (std::nothrow) Number[static_cast<size_t>(count)]());
  return memory != nullptr;
}

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

// Sets the positions of a window's tokens in the map; −1 if a token is padding.
inline void place_tokens(const WindowAttention& a, const WindowLines& lines, int64_t* places) {
  for (int64_t row = 0; row < a.window; row++)
    for (int64_t column = 0; column < a.window; column++) {
      const int64_t y = lines.down.source(row), x = lines.across.source(column);
      *places++ = y < a.height && x < a.width ? (lines.image * a.height + y) * a.width + x : -1;
    }
}

// Sets the positions of the tokens of `count` windows from `begin` on; −1 where there is no window before `end`.
inline void place_windows(const WindowAttention& a, int64_t begin, int64_t end, int64_t count, int64_t* places) {
  for (int64_t index = begin; index < begin + count; index++, places += a.tokens())
    if (index < end) place_tokens(a, {a, index}, places);
    else std::fill_n(places, a.tokens(), -1);
}

// The rows that are added to the scores of a window.
class WindowMasks {
 public:
  bool set(const WindowAttention& a) {
    return allocate(rows_, kGroups * a.padded_tokens()) && allocate(row_of_, a.tokens());
  }

  // Returns the row of each token; null if there is nothing to add in this window.
  const float* const* of(const WindowAttention& a, const WindowLines& lines) {
    if (!lines.down.has_border && !lines.across.has_border) return nullptr;
    const float across_borders = a.has_byte_products ? kAcrossBorders * kInverseLn2 : kAcrossBorders;
    for (int64_t token = 0; token < a.tokens(); token++) {
      const int64_t group = 2 * lines.down.group(token / a.window) + lines.across.group(token % a.window);
      for (int64_t other = 0; other < kGroups; other++)
        rows_[other * a.padded_tokens() + token] = other == group ? 0 : across_borders;
      row_of_[token] = rows_.get() + group * a.padded_tokens();
    }
    return row_of_.get();
  }

 private:
  std::unique_ptr<float[]> rows_;  // [groups, padded tokens]
  std::unique_ptr<const float*[]> row_of_;  // [tokens]
};

}  // namespace
}  // namespace dino8
