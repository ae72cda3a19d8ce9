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
#include "layer_norm_bytes.h"
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
  std::unique_ptr<float[]> normalized;  // [channels]
  std::unique_ptr<int64_t[]> places;    // [windows · tokens]: see place_tokens
  std::unique_ptr<int64_t[]> next;      // the same for the windows that are computed next, −1 where there are no more

  // False if there is not enough memory.
  bool set(const WindowAttention& a, int64_t windows) {
    const int64_t all = windows * a.tokens();
    stride = cache_lines(a.channels + kPanelColumns) * 64;
    return heads.set(a, windows) && masks.set(a) && allocate(lines, all * stride / 64) &&
           allocate(normalized, a.channels) && allocate(places, all) && allocate(next, all);
  }

  uint8_t* bytes(int64_t row) { return bytes_of(lines.get()) + row * stride; }
};

// Normalizes and quantizes the tokens of some rows of the scratch memory. None of them is padding.
template <int Count, class Heads>
void load_tokens(const WindowAttention& a, const int64_t (&rows)[Count], WindowScratch<Heads>& scratch) {
  const float* x[Count];
  uint8_t* to[Count];
  for (int each = 0; each < Count; each++) {
    const int64_t place = scratch.places[rows[each]] * a.channels;
    prefetch_row(a.y + place, a.channels);
    x[each] = a.x + place, to[each] = scratch.bytes(rows[each]);
  }
  if (a.channels % 16 == 0)
    return normalize_to_bytes<Count>({a.channels, a.norm_scale, a.norm_bias, a.norm_epsilon, a.input}, x, to);
  for (int each = 0; each < Count; each++) {
    layer_norm(x[each], a.channels, a.norm_scale, a.norm_bias, a.norm_epsilon, scratch.normalized.get());
    quantize_row(scratch.normalized.get(), a.channels, a.input, to[each]);
  }
}

template <class Heads>
void load_windows(const WindowAttention& a, int64_t rows, WindowScratch<Heads>& scratch) {
  int64_t waiting[kNormRowsToBytes];
  int count = 0;
  for (int64_t row = 0; row < rows; row++) {
    if (scratch.next[row] >= 0) prefetch_row(a.x + scratch.next[row] * a.channels, a.channels);
    if (scratch.places[row] < 0) {
      std::fill_n(scratch.bytes(row), a.channels, static_cast<uint8_t>(a.input.zero_point));
      continue;
    }
    waiting[count++] = row;
    if (count < kNormRowsToBytes) continue;
    load_tokens(a, waiting, scratch);
    count = 0;
  }
  for (int each = 0; each < count; each++) load_tokens<1>(a, {waiting[each]}, scratch);
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
                                 int64_t row, int64_t column, int64_t count, auto results) {
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
