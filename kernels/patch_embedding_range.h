// The computation of the embedding of patches. Some patches at a time go through all of it, so that what is between stays in the
// processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "layer_norm.h"
#include "linear_block_rows.h"
#include "linear_layer.h"
#include "normalized_bytes.h"
#include "patch_embedding.h"
#include "prefetch.h"

namespace dino8 {
namespace {

// Copies `count` runs of `length` bytes that follow each other to places `stride` apart.
inline void spread_runs(const uint8_t* from, int64_t count, int64_t length, uint8_t* to, int64_t stride) {
  constexpr int64_t kUsual = 4;  // copied without a call
  if (length == kUsual) {
    for (int64_t run = 0; run < count; run++) std::memcpy(to + run * stride, from + run * kUsual, kUsual);
    return;
  }
  for (int64_t run = 0; run < count; run++) std::copy_n(from + run * length, length, to + run * stride);
}

// Sets `to` to the bytes of `count` patches of row `index` of all images' patches, from `first` on, `stride` apart. `line` is memory
// for a line of their pixels.
inline void patches_to_bytes(const PatchEmbedding& e, int64_t index, int64_t first, int64_t count, uint8_t* line, uint8_t* to,
                             int64_t stride) {
  const int64_t row = index % e.rows() * e.patch, image = index / e.rows();
  const int64_t column = first * e.patch, all = count * e.patch, inside = std::min(all, e.width - column);
  for (int64_t colour = 0; colour < e.colours; colour++)
    for (int64_t down = 0; down < e.patch; down++, to += e.patch) {
      const float* const from = e.x + ((image * e.colours + colour) * e.height + row + down) * e.width + column;
      const int64_t known = row + down < e.height ? inside : 0;
      if (known > 0) quantize_as_runtime(from, known, e.input, line);
      std::memset(line + known, e.input.zero_point, static_cast<size_t>(all - known));
      spread_runs(line, count, e.patch, to, stride);
    }
}

// Embeds patches [rows, layer.depth], whose bytes are `stride` apart. `results` is memory for [rows, layer.columns].
template <class Tile>
void embed_patches(const PatchEmbedding& e, const uint8_t* bytes, int64_t rows, int64_t stride, float* results, float* y) {
  const int64_t columns = e.layer.columns;
  linear_layer_by_rows<Tile>(bytes, rows, stride, e.layer, e.input.zero_point,
                             [=](int64_t row, int64_t column, int64_t count, auto found) {
                               prefetch_row(y + row * columns + column, count);
                               found.store(results + row * columns + column, count);
                             });
  int64_t row = 0;
  for (; row + kNormRows <= rows; row += kNormRows)
    normalize_rows_as_runtime<kNormRows>(results + row * columns, columns, e.norm_scale, e.norm_bias, e.norm_epsilon,
                                         y + row * columns);
  for (; row < rows; row++)
    normalize_as_runtime(results + row * columns, columns, e.norm_scale, e.norm_bias, e.norm_epsilon, y + row * columns);
}

// See `PatchEmbeddingRange`. Long parts of the image's lines are read one after the other, since processors load what follows into
// their caches by themselves.
template <class Tile>
void patch_embedding_range(const PatchEmbedding& e, int64_t begin, int64_t end) {
  const int64_t columns = e.columns(), together = std::min(8 * Tile::kRowsAtATime, columns);
  const ByteRows bytes(together, e.layer.depth, 0), line(1, together * e.patch, 0);
  const Floats results(std::min(Tile::kRowsAtATime, columns) * e.layer.columns);
  for (int64_t index = begin; index < end; index++)
    for (int64_t first = 0; first < columns; first += together) {
      const int64_t some = std::min(together, columns - first);
      patches_to_bytes(e, index, first, some, line.row(0), bytes.row(0), bytes.stride);
      take_rows<Tile>(0, some, [&](int64_t start, int64_t rows, int64_t) {
        embed_patches<Tile>(e, bytes.row(start), rows, bytes.stride, results.get(),
                            e.y + (index * columns + first + start) * e.layer.columns);
      });
    }
}

}  // namespace
}  // namespace dino8
