// The computation of a fused feed-forward block. Blocks of rows go through both layers, so that the bytes between the
// layers stay in the processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <vector>

#include "feed_forward.h"
#include "integer_tile.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// So many rows of 2,048 bytes fit into a second-level cache of 256 kB, and it is a multiple of the rows of every tile.
constexpr int64_t kBlockRows = 48;

template <class Tile, int Rows, int Panels>
void multiply_some_rows(int64_t rows, const uint8_t* a, int64_t stride, const PackedLayer& layer, int64_t panel,
                        int32_t* out) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return multiply_some_rows<Tile, Rows - 1, Panels>(rows, a, stride, layer, panel, out);
  }
  Tile::template multiply<Rows, Panels>(a, stride, layer.weight + panel * layer.panel_bytes(), layer.panel_bytes(),
                                        layer.depth / kStepDepth, out);
}

// Calls finish(row, column, count, values) for the results of `rows` rows in pieces of up to 16 · Tile::kPanels columns.
// The results are floats: (a − zero_point) · weight · scale + bias.
template <class Tile, class Finish>
void linear_layer(const uint8_t* a, int64_t rows, const PackedLayer& layer, int32_t zero_point, Finish finish) {
  constexpr int kWidth = Tile::kPanels * kPanelColumns;
  alignas(64) int32_t sums[Tile::kRows * kWidth];
  alignas(64) float values[kWidth];
  const int64_t stride = layer.depth, panels = layer.panels();
  for (int64_t panel = 0; panel < panels; panel += Tile::kPanels) {
    const bool is_full = panel + Tile::kPanels <= panels;
    // The panels that are left over at the end go one by one.
    const int64_t last = is_full ? panel + 1 : panels;
    const int64_t width = is_full ? kWidth : kPanelColumns;
    for (int64_t first = panel; first < last; first++)
      for (int64_t row = 0; row < rows; row += Tile::kRows) {
        const int64_t some = std::min<int64_t>(Tile::kRows, rows - row);
        if (is_full) multiply_some_rows<Tile, Tile::kRows, Tile::kPanels>(some, a + row * stride, stride, layer, first, sums);
        else multiply_some_rows<Tile, Tile::kRows, 1>(some, a + row * stride, stride, layer, first, sums);
        const int64_t column = first * kPanelColumns;
        const int32_t* column_sums = layer.sums + column;
        const float* scale = layer.scale + column;
        const float* bias = layer.bias + column;
        const int64_t count = std::min(width, layer.columns - column);
        for (int64_t each = 0; each < some; each++) {
          const int32_t* from = sums + each * width;
          for (int64_t at = 0; at < width; at++)
            values[at] = static_cast<float>(from[at] - zero_point * column_sums[at]) * scale[at] + bias[at];
          finish(row + each, column, count, values);
        }
      }
  }
}

template <class Tile>
void feed_forward_rows(const FeedForward& f, int64_t begin, int64_t end) {
  const int64_t depth = f.first.depth, hidden = f.second.depth, columns = f.second.columns;
  const int64_t block = std::min(kBlockRows, end - begin);
  std::vector<uint8_t> bytes(static_cast<size_t>(block * (depth + hidden)));
  uint8_t* const input = bytes.data();
  uint8_t* const between = input + block * depth;
  for (int64_t start = begin; start < end; start += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, end - start);
    quantize_row(f.x + start * depth, rows * depth, f.input, input);
    linear_layer<Tile>(input, rows, f.first, f.input.zero_point,
                       [&](int64_t row, int64_t column, int64_t count, float* values) {
                         if (f.activation == Activation::kGelu) gelu_row(values, count);
                         quantize_row(values, count, f.hidden, between + row * hidden + column);
                       });
    linear_layer<Tile>(between, rows, f.second, f.hidden.zero_point,
                       [&](int64_t row, int64_t column, int64_t count, const float* values) {
                         std::copy(values, values + count, f.y + (start + row) * columns + column);
                       });
  }
}

}  // namespace
}  // namespace dino8
