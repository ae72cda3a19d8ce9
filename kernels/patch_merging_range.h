// The computation of the merging of patches. Some positions at a time go through all of it, so that what is between stays in the
// processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "layer_norm.h"
#include "linear_block_rows.h"
#include "linear_layer.h"
#include "patch_merging.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// The upper left one of the four neighbours of a position of the result, and which others are inside the map.
struct Neighbours {
  const float* first;
  bool has_right, has_lower;

  Neighbours(const PatchMerging& m, int64_t position) {
    const int64_t column = 2 * (position % m.columns()), of_images = position / m.columns();
    const int64_t row = 2 * (of_images % m.rows()), image = of_images / m.rows();
    first = m.x + ((image * m.height + row) * m.width + column) * m.channels;
    has_right = column + 1 < m.width, has_lower = row + 1 < m.height;
  }
};

// The processor loads the neighbours of a position into its caches meanwhile.
inline void prefetch_neighbours(const PatchMerging& m, int64_t position) {
  const Neighbours from(m, position);
  const int64_t count = from.has_right ? 2 * m.channels : m.channels;
  prefetch_row(from.first, count);
  if (from.has_lower) prefetch_row(from.first + m.width * m.channels, count);
}

// Copies the numbers of the neighbours of a position to `to` [4 · channels]: the left two, then the right two, the upper one
// before the lower one.
inline void gather_neighbours(const PatchMerging& m, int64_t position, float* to) {
  const Neighbours from(m, position);
  for (int64_t across = 0; across < 2; across++)
    for (int64_t down = 0; down < 2; down++, to += m.channels) {
      if ((across == 0 || from.has_right) && (down == 0 || from.has_lower))
        std::copy_n(from.first + (down * m.width + across) * m.channels, m.channels, to);
      else std::fill_n(to, m.channels, 0.0f);
    }
}

// See `PatchMergingRange`.
template <class Tile>
void patch_merging_range(const PatchMerging& m, int64_t begin, int64_t end) {
  constexpr int64_t kAhead = 2 * kNormRows;
  const int64_t depth = m.layer.depth, columns = m.layer.columns;
  const ByteRows bytes(std::min(Tile::kRowsAtATime, end - begin), depth, 0);
  const Floats gathered(kNormRows * depth);
  take_rows<Tile>(begin, end, [&](int64_t start, int64_t rows, int64_t) {
    float* const y = m.y + start * columns;
    for (int64_t row = 0; row < rows; row += kNormRows) {
      const int64_t some = std::min<int64_t>(kNormRows, rows - row);
      prefetch_row(y + row * columns, some * columns);
      for (int64_t each = row; each < row + some; each++) {
        if (start + each + kAhead < end) prefetch_neighbours(m, start + each + kAhead);
        gather_neighbours(m, start + each, gathered.get() + (each - row) * depth);
      }
      layer_norms(gathered.get(), some, depth, m.norm_scale, m.norm_bias, m.norm_epsilon, gathered.get());
      for (int64_t each = 0; each < some; each++)
        quantize_row(gathered.get() + each * depth, depth, m.input, bytes.row(row + each));
    }
    linear_layer_by_rows<Tile>(bytes.row(0), rows, bytes.stride, m.layer, m.input.zero_point,
                               [=](int64_t at, int64_t column, int64_t count, auto results) {
                                 results.store(y + at * columns + column, count);
                               });
  });
}

}  // namespace
}  // namespace dino8
