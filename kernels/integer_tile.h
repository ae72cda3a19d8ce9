// Products of a few rows of bytes with panels of an int8 weight. `paths/` has a type `Tile` for each instruction set. An
// object of it lives for a task on one thread, since some processors must be set up before, and has
// - kRows, the most rows of one product, and kPanels, its most panels of 16 columns;
// - kRowsAtATime, a multiple of kRows: the rows that go through a block of layers together;
// - kIsPreferred, false where ONNX Runtime's own products are faster and as exact. Those for AVX2 and for AVX-512 without
//   VNNI are fast, but they add two products in 16 bits, where 255 · 127 · 2 does not fit;
// - Small, the tile for products so small that setting up a processor would take longer;
// - kOffset, which its instructions subtract from every byte of a row;
// - multiply(rows, panels, a, stride, weight, panel_bytes, steps, initial, out), which sets out [rows][panels · 16] to the
//   sums of (a − kOffset) · weight in 32 bits, which begin in each row at `initial` [panels · 16]. The rows of `a`
//   [rows, steps · 4] are `stride` bytes apart, the panels of the weight `panel_bytes`. No byte outside of them is read.
//   A SizedTile takes one more argument, the distance of the steps of a row in bytes, which is 4 if it is left out;
// - kKeepsSums; if it is true, also multiply_rows(panels, a, stride, weight, panel_bytes, steps, initial, take), the same for kRows rows,
//   which calls take(row, column, sums) for each row, and for each column at which some panels begin, instead. The sums are in registers:
//   `sums` is a `RowSums`, with kAreWhole, which is true, width(), the number of its columns, and sums(at), the vector from column
//   `column` + `at` on. It returns false, and does nothing, unless there are kPanels panels or half as many, and at most kMostSteps steps.
// Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>

#include "packed_weight.h"

namespace dino8 {
namespace {

// So many rows of 2,048 bytes fit into a second-level cache of 256 kB.
constexpr int64_t kRowsOfSmallCache = 48;

// A tile made of `Sized::multiply<Rows, Panels>` and, with kKeepsSums, `Sized::multiply_rows<Panels>`, whose sizes are known to the
// compiler.
template <class Sized>
struct SizedTile {
  static constexpr int64_t kRows = Sized::kRows, kPanels = Sized::kPanels;
  static constexpr int64_t kRowsAtATime = kRowsOfSmallCache;
  static constexpr int32_t kOffset = Sized::kOffset;
  static constexpr bool kIsPreferred = Sized::kIsPreferred, kKeepsSums = Sized::kKeepsSums;
  static_assert(kRowsAtATime % kRows == 0);
  using Small = SizedTile;

  template <int Rows = Sized::kRows, int Panels = Sized::kPanels>
  void multiply(int64_t rows, int64_t panels, const uint8_t* a, int64_t stride, const int8_t* weight,
                int64_t panel_bytes, int64_t steps, const int32_t* initial, int32_t* out,
                int64_t step_stride = kStepDepth) const {
    if constexpr (Panels > 1) {
      if (panels < Panels)
        return multiply<Rows, Panels - 1>(rows, panels, a, stride, weight, panel_bytes, steps, initial, out, step_stride);
    }
    if constexpr (Rows > 1) {
      if (rows < Rows)
        return multiply<Rows - 1, Panels>(rows, panels, a, stride, weight, panel_bytes, steps, initial, out, step_stride);
    }
    Sized::template multiply<Rows, Panels>(a, stride, weight, panel_bytes, steps, initial, out, step_stride);
  }

  template <class Take>
  bool multiply_rows(int64_t panels, const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                     const int32_t* initial, const Take& take) const {
    constexpr int kHalf = Sized::kPanels / 2;
    if (steps > Sized::kMostSteps) return false;
    if (panels == kPanels) {
      Sized::template multiply_rows<Sized::kPanels>(a, stride, weight, panel_bytes, steps, initial, take);
      return true;
    }
    if constexpr (kHalf > 0) {
      if (panels == kHalf) {
        Sized::template multiply_rows<kHalf>(a, stride, weight, panel_bytes, steps, initial, take);
        return true;
      }
    }
    return false;
  }
};

// For processors without instructions for such products.
struct PlainTile {
  static constexpr int kRows = 4;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = false;
  static constexpr bool kKeepsSums = false;

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    for (int panel = 0; panel < Panels; panel++)
      for (int row = 0; row < Rows; row++) {
        int32_t sums[kPanelColumns] = {};
        const int8_t* step = weight + panel * panel_bytes;
        const uint8_t* bytes = a + row * stride;
        for (int64_t at = 0; at < steps; at++, step += kStepBytes, bytes += step_stride)
          for (int column = 0; column < kPanelColumns; column++)
            for (int k = 0; k < kStepDepth; k++) sums[column] += bytes[k] * step[column * kStepDepth + k];
        for (int column = 0; column < kPanelColumns; column++)
          out[(row * Panels + panel) * kPanelColumns + column] = initial[panel * kPanelColumns + column] + sums[column];
      }
  }
};

}  // namespace
}  // namespace dino8
