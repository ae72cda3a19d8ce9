// Products of a few rows of bytes with panels of an int8 weight, for processors without instructions for it; `paths/`
// has faster ones. A path's type `Tile` has
// - kRows, the rows of a full tile, and kPanels, its panels of 16 columns;
// - kHasDotProducts, true if an instruction adds four products of bytes to a sum;
// - kOffset, which its instructions subtract from every byte of a row;
// - `multiply<Rows, Panels>`, which sets out [Rows][Panels · 16] to the sums of (a − kOffset) · weight in 32 bits.
// Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>

#include "packed_weight.h"

namespace dino8 {
namespace {

struct PlainTile {
  static constexpr int kRows = 4;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kHasDotProducts = false;

  // a [Rows] at distances of `stride` bytes; steps = depth / 4; the panels are `panel_bytes` apart.
  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       int32_t* out) {
    for (int panel = 0; panel < Panels; panel++)
      for (int row = 0; row < Rows; row++) {
        int32_t sums[kPanelColumns] = {};
        const int8_t* step = weight + panel * panel_bytes;
        const uint8_t* bytes = a + row * stride;
        for (int64_t at = 0; at < steps; at++, step += kStepBytes, bytes += kStepDepth)
          for (int column = 0; column < kPanelColumns; column++)
            for (int k = 0; k < kStepDepth; k++) sums[column] += bytes[k] * step[column * kStepDepth + k];
        for (int column = 0; column < kPanelColumns; column++)
          out[(row * Panels + panel) * kPanelColumns + column] = sums[column];
      }
  }
};

}  // namespace
}  // namespace dino8
