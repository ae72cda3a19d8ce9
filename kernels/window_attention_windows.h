// The computation of attention within windows. Some windows at a time go through all of it: their tokens are read from the
// map, and written back to it, by index, so that there is no tensor of windows. Everything here is in an unnamed namespace;
// see paths/path_kernels.h.
//
// A type `Heads` is the attention itself. It has
// - set(a, windows), which allocates the memory for so many windows, and returns false if there is not enough of it;
// - receiver(), the function that linear_layer_by_rows gives the projections of the tokens of all windows to;
// - attend(window, masks, context, stride), which sets `context` [tokens, channels], whose rows are `stride` apart and have a
//   panel of unused bytes at their ends, to the bytes of a window's result. `masks` has a row for each token that is added to
//   its scores, or is null.
#pragma once

#include <algorithm>
#include <utility>

#include "cache_line.h"
#include "layer_norm.h"
#include "prefetch.h"
#include "residual_sum.h"
#include "window_byte_heads.h"
#include "window_float_heads.h"

namespace dino8 {
namespace {

// The memory of a task for some windows at a time.
template <class Heads>
struct WindowScratch {
  Heads heads;
  WindowMasks masks;
  std::unique_ptr<CacheLine[]> lines;   // of the rows of bytes
  int64_t stride = 0;                   // of the rows of bytes, [windows · tokens, channels]
  std::unique_ptr<float[]> normalized;  // [kNormRows, channels]
  std::unique_ptr<int64_t[]> places;    // [windows · tokens]: see place_tokens
  std::unique_ptr<int64_t[]> next;      // the same for the windows that are computed next, −1 where there are no more

  // False if there is not enough memory.
  bool set(const WindowAttention& a, int64_t windows) {
    const int64_t all = windows * a.tokens();
    stride = cache_lines(a.channels + kPanelColumns) * 64;
    return heads.set(a, windows) && masks.set(a) && allocate(lines, all * stride / 64) &&
           allocate(normalized, kNormRows * a.channels) && allocate(places, all) && allocate(next, all);
  }

  uint8_t* bytes(int64_t row) { return bytes_of(lines.get()) + row * stride; }
};

// The tokens from `row` on that follow each other in the map, at most as many as are normalized together; 1 for padding.
inline int64_t tokens_side_by_side(const int64_t* places, int64_t row, int64_t rows) {
  int64_t count = 1;
  if (places[row] < 0) return count;
  while (count < kNormRows && row + count < rows && places[row + count] == places[row] + count) count++;
  return count;
}

template <class Heads>
void load_windows(const WindowAttention& a, int64_t rows, WindowScratch<Heads>& scratch) {
  const int64_t channels = a.channels;
  float* const normalized = scratch.normalized.get();
  for (int64_t row = 0, count = 1; row < rows; row += count) {
    count = tokens_side_by_side(scratch.places.get(), row, rows);
    for (int64_t each = row; each < row + count; each++)
      if (scratch.next[each] >= 0) prefetch_row(a.x + scratch.next[each] * channels, channels);
    const int64_t place = scratch.places[row];
    if (place < 0) {
      std::fill_n(scratch.bytes(row), channels, static_cast<uint8_t>(a.input.zero_point));
      continue;
    }
    prefetch_row(a.y + place * channels, count * channels);
    layer_norms(a.x + place * channels, count, channels, a.norm_scale, a.norm_bias, a.norm_epsilon, normalized);
    for (int64_t each = 0; each < count; each++)
      quantize_row(normalized + each * channels, channels, a.input, scratch.bytes(row + each));
  }
}

template <class Tile, class Heads>
void attend_windows(const WindowAttention& a, int64_t begin, int64_t windows, WindowScratch<Heads>& scratch) {
  const int64_t tokens = a.tokens(), channels = a.channels, all = windows * tokens;
  load_windows(a, all, scratch);
  linear_layer_by_rows<Tile>(scratch.bytes(0), all, scratch.stride, a.projections, a.input.zero_point,
                             scratch.heads.receiver());
  for (int64_t window = 0; window < windows; window++)
    scratch.heads.attend(window, scratch.masks.of(a, {a, begin + window}),
                         scratch.bytes(window * tokens), scratch.stride);
  linear_layer_by_rows<Tile>(scratch.bytes(0), all, scratch.stride, a.output, a.context.zero_point,
                             [x = a.x, y = a.y, channels, places = scratch.places.get(), sum = ResidualSum(a.residual)](
                                 int64_t row, int64_t column, int64_t count, RowResults results) {
                               if (places[row] < 0) return;
                               const int64_t at = places[row] * channels + column;
                               sum.store(x + at, count, results, y + at);
                             });
}

template <class Tile, class Heads>
bool window_range_by(const WindowAttention& a, int64_t begin, int64_t end) {
  const int64_t most = std::min(a.windows_at_a_time(), end - begin);
  WindowScratch<Heads> scratch;
  if (!scratch.set(a, most)) return false;
  place_windows(a, begin, end, most, scratch.next.get());
  for (int64_t first = begin; first < end; first += most) {
    std::swap(scratch.places, scratch.next);
    place_windows(a, first + most, end, most, scratch.next.get());
    attend_windows<Tile>(a, first, std::min(most, end - first), scratch);
  }
  return true;
}

// See `WindowRange`.
template <class V, class Tile>
bool window_range(const WindowAttention& a, int64_t begin, int64_t end) {
  return a.has_byte_products ? window_range_by<Tile, WindowByteHeads<V, Tile>>(a, begin, end)
                             : window_range_by<Tile, WindowFloatHeads<V, Tile>>(a, begin, end);
}

}  // namespace
}  // namespace dino8
