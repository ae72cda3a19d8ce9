// A linear layer on bytes, in tiles of a few rows and panels. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "float_vector.h"
#include "integer_tile.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// Where the zero point of a layer's input is subtracted: from the sums, or, with the error of one more rounding, from the bias.
enum class ZeroPointPlace { kSums, kBias };

// The sums of a row in memory; see `RowSums` in integer_tile.h for those in registers.
struct StoredSums {
  static constexpr bool kAreWhole = false;
  const int32_t* first;
  int64_t columns;

  int64_t width() const { return columns; }
  IntVector operator()(int64_t at) const { return load_ints(first + at); }
};

// The results of one row for the columns of some panels, a vector at a time: (a − zero_point) · weight · scale + bias.
template <class Sums>
struct RowResults {
  Sums sums;
  const float* scale;
  const float* bias;

  // The columns of the panels.
  int64_t width() const { return sums.width(); }

  // Returns `count`, the number of columns that the layer has here. It is width() if the sums are in registers, and then the
  // compiler knows it.
  int64_t known_count(int64_t count) const { return Sums::kAreWhole ? width() : count; }

  // The results from column `at` on.
  FloatVector vector(int64_t at) const { return to_floats(sums(at)) * load_floats(scale + at) + load_floats(bias + at); }

  // Stores the results of the first `columns` columns.
  void store(float* to, int64_t columns) const {
    const int64_t count = known_count(columns);
    int64_t at = 0;
    for (; at + kFloatLanes <= count; at += kFloatLanes) store_floats(to + at, vector(at));
    if (at == count) return;
    float few[kFloatLanes];
    store_floats(few, vector(at));
    std::copy(few, few + (count - at), to + at);
  }
};

// Calls finish(row, column, count, results) for every row of `a`, which are `stride` bytes apart, and some panels at a time,
// which begin at `column` and have `count` columns of the layer. The results of all of their columns can be computed.
template <class Tile, ZeroPointPlace place = ZeroPointPlace::kSums, class Finish>
void linear_layer_by_rows(const uint8_t* a, int64_t rows, int64_t stride, const PackedLayer& layer, int32_t zero_point,
                          Finish finish) {
  constexpr int64_t kWidth = Tile::kPanels * kPanelColumns;
  alignas(64) int32_t sums[Tile::kRows * kWidth], initial[kWidth] = {};
  alignas(64) float moved_bias[kWidth];
  const int64_t panels = layer.panels();
  Tile tile;
  for (int64_t panel = 0; panel < panels; panel += Tile::kPanels) {
    const int64_t some_panels = std::min(Tile::kPanels, panels - panel), width = some_panels * kPanelColumns;
    const int64_t column = panel * kPanelColumns, count = std::min(width, layer.columns - column);
    const float* bias = layer.bias + column;
    if constexpr (place == ZeroPointPlace::kSums) {
      for (int64_t at = 0; at < width; at++) initial[at] = (Tile::kOffset - zero_point) * layer.sums[column + at];
    } else {
      for (int64_t at = 0; at < width; at++) {
        const int32_t rest = (zero_point - Tile::kOffset) * layer.sums[column + at];
        moved_bias[at] = bias[at] - static_cast<float>(rest) * layer.scale[column + at];
      }
      bias = moved_bias;
    }
    const int8_t* const weight = layer.weight + panel * layer.panel_bytes();
    const int64_t steps = layer.depth / kStepDepth;
    for (int64_t row = 0; row < rows; row += Tile::kRows) {
      const int64_t some_rows = std::min(Tile::kRows, rows - row);
      if constexpr (Tile::kKeepsSums) {
        const auto take = [&, scale = layer.scale + column](int64_t each, int64_t at, auto row_sums) {
          finish(row + each, column + at, row_sums.width(), RowResults<decltype(row_sums)>{row_sums, scale + at, bias + at});
        };
        if (some_rows == Tile::kRows && count == width &&
            tile.multiply_rows(some_panels, a + row * stride, stride, weight, layer.panel_bytes(), steps, initial, take))
          continue;
      }
      tile.multiply(some_rows, some_panels, a + row * stride, stride, weight, layer.panel_bytes(), steps, initial, sums);
      for (int64_t each = 0; each < some_rows; each++)
        finish(row + each, column, count, RowResults<StoredSums>{{sums + each * width, width}, layer.scale + column, bias});
    }
  }
}

}  // namespace
}  // namespace dino8
