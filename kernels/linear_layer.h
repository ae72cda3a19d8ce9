// A linear layer on bytes, in tiles of a few rows and panels. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "integer_tile.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// Multiplies `rows` rows by `panels` panels, both at most those of a full tile.
template <class Tile, int Rows = Tile::kRows, int Panels = Tile::kPanels>
void multiply_tile(int64_t rows, int64_t panels, const uint8_t* a, int64_t stride, const int8_t* weight,
                   int64_t panel_bytes, int64_t steps, int32_t* out) {
  if constexpr (Panels > 1) {
    if (panels < Panels)
      return multiply_tile<Tile, Rows, Panels - 1>(rows, panels, a, stride, weight, panel_bytes, steps, out);
  }
  if constexpr (Rows > 1) {
    if (rows < Rows)
      return multiply_tile<Tile, Rows - 1, Panels>(rows, panels, a, stride, weight, panel_bytes, steps, out);
  }
  Tile::template multiply<Rows, Panels>(a, stride, weight, panel_bytes, steps, out);
}

// Calls finish(row, column, count, values) for the results of `rows` rows of `a`, in pieces of up to 16 · Tile::kPanels
// columns. The results are floats: (a − zero_point) · weight · scale + bias.
template <class Tile, class Finish>
void linear_layer(const uint8_t* a, int64_t rows, const PackedLayer& layer, int32_t zero_point, Finish finish) {
  constexpr int64_t kWidth = Tile::kPanels * kPanelColumns;
  alignas(64) int32_t sums[Tile::kRows * kWidth];
  alignas(64) float values[kWidth];
  const int64_t stride = layer.depth, panels = layer.panels();
  const int32_t rest = zero_point - Tile::kOffset;  // what the tiles have not subtracted
  for (int64_t panel = 0; panel < panels; panel += Tile::kPanels) {
    const int64_t some_panels = std::min<int64_t>(Tile::kPanels, panels - panel);
    const int64_t column = panel * kPanelColumns, width = some_panels * kPanelColumns;
    const int64_t count = std::min(width, layer.columns - column);
    const int8_t* weight = layer.weight + panel * layer.panel_bytes();
    const int32_t* column_sums = layer.sums + column;
    const float* scale = layer.scale + column;
    const float* bias = layer.bias + column;
    for (int64_t row = 0; row < rows; row += Tile::kRows) {
      const int64_t some_rows = std::min<int64_t>(Tile::kRows, rows - row);
      multiply_tile<Tile>(some_rows, some_panels, a + row * stride, stride, weight, layer.panel_bytes(),
                          layer.depth / kStepDepth, sums);
      for (int64_t each = 0; each < some_rows; each++) {
        const int32_t* from = sums + each * width;
        for (int64_t at = 0; at < width; at++)
          values[at] = static_cast<float>(from[at] - rest * column_sums[at]) * scale[at] + bias[at];
        finish(row + each, column, count, values);
      }
    }
  }
}

}  // namespace
}  // namespace dino8
