// Integer tiles of six rows, for instruction sets whose registers hold all sums of a tile. Everything here is in an unnamed
// namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "float_vector.h"
#include "packed_weight.h"
#include "prefetch.h"

namespace dino8 {
namespace {

// The four bytes of a row that meet a step of a panel.
template <class Four>
Four load_four(const uint8_t* bytes) {
  Four four;
  std::memcpy(&four, bytes, sizeof four);
  return four;
}

// A type `Panels` has
// - kCount, the most panels of a tile, and kOffset, see integer_tile.h;
// - Step, the weights of a step of `Count` panels, and `load<Count>(weight, panel_bytes)`;
// - Sums, the sums of a row for `Count` panels, `begin<Count>(initial)`, `add<Count>(sums, bytes, step)`, `store<Count>(out, sums)` and
//   `vector(sums, at)`, which is the vector from column `at` on;
// - `hold<Count>(sums)`, statements of assembly without instructions that take the sums of `Count` panels in registers and give them back.
template <class Panels>
struct SixRowTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = Panels::kCount;
  static constexpr int32_t kOffset = Panels::kOffset;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = true;
  static constexpr int64_t kMostSteps = std::numeric_limits<int64_t>::max();
  using Sums = typename Panels::Sums;

  template <int Rows, int Count>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    Sums row0, row1, row2, row3, row4, row5;
    add_products<Rows, Count>(a, stride, weight, panel_bytes, steps, initial, step_stride, row0, row1, row2, row3, row4, row5);
    constexpr int kWidth = Count * kPanelColumns;
    Panels::template store<Count>(out, row0);
    if constexpr (Rows > 1) Panels::template store<Count>(out + kWidth, row1);
    if constexpr (Rows > 2) Panels::template store<Count>(out + 2 * kWidth, row2);
    if constexpr (Rows > 3) Panels::template store<Count>(out + 3 * kWidth, row3);
    if constexpr (Rows > 4) Panels::template store<Count>(out + 4 * kWidth, row4);
    if constexpr (Rows > 5) Panels::template store<Count>(out + 5 * kWidth, row5);
  }

  // The sums of a row of `Count` panels.
  template <int Count>
  struct RowSums {
    Sums sums;

    static constexpr bool kAreWhole = true;
    static constexpr int64_t width() { return Count * kPanelColumns; }
    IntVector operator()(int64_t at) const { return Panels::vector(sums, at); }
  };

  // See integer_tile.h. All that `take` calls is inlined: a call would move all sums to memory. Unless the sums are held in registers
  // behind the loop, GCC 12 moves them between registers in each of its rounds, and the speed falls to a quarter (measured).
  template <int Count, class Take>
  __attribute__((noinline, flatten)) static void multiply_rows(const uint8_t* a, int64_t stride, const int8_t* weight,
                                                               int64_t panel_bytes, int64_t steps, const int32_t* initial,
                                                               const Take& take) {
    Sums row0, row1, row2, row3, row4, row5;
    add_products<kRows, Count>(a, stride, weight, panel_bytes, steps, initial, kStepDepth, row0, row1, row2, row3, row4, row5);
    hold<Count>(row0), hold<Count>(row1), hold<Count>(row2), hold<Count>(row3), hold<Count>(row4), hold<Count>(row5);
    using Row = RowSums<Count>;
    take(0, 0, Row{row0}), take(1, 0, Row{row1}), take(2, 0, Row{row2});
    take(3, 0, Row{row3}), take(4, 0, Row{row4}), take(5, 0, Row{row5});
  }

 private:
  // The bytes between the weights that are multiplied and those that are prefetched. The weights of a deep layer are in the second-level
  // cache, and the prefetcher of Intel's processors alone loads them too late. At the end of a panel the beginning of the next panel is
  // prefetched.
  static constexpr int64_t kBytesAhead = 8 * kStepBytes;

  template <int Count>
  static void hold(Sums& sums) { Panels::template hold<Count>(sums); }

  // Sets the sums of the first `Rows` rows. They are named variables in place of an array, or a structure of all rows, which GCC 12
  // keeps in memory; the speed falls to a half then (measured).
  template <int Rows, int Count>
  __attribute__((always_inline)) static void add_products(const uint8_t* a, int64_t stride, const int8_t* weight,
                                                          int64_t panel_bytes, int64_t steps, const int32_t* initial,
                                                          int64_t step_stride, Sums& row0, Sums& row1, Sums& row2, Sums& row3,
                                                          Sums& row4, Sums& row5) {
    row0 = row1 = row2 = row3 = row4 = row5 = Panels::template begin<Count>(initial);
    for (int64_t at = 0; at < steps; at++, a += step_stride, weight += kStepBytes) {
      const typename Panels::Step step = Panels::template load<Count>(weight, panel_bytes);
      for (int panel = 0; panel < Count; panel++) prefetch_bytes(weight + panel * panel_bytes + kBytesAhead, kStepBytes);
      Panels::template add<Count>(row0, a, step);
      if constexpr (Rows > 1) Panels::template add<Count>(row1, a + stride, step);
      if constexpr (Rows > 2) Panels::template add<Count>(row2, a + 2 * stride, step);
      if constexpr (Rows > 3) Panels::template add<Count>(row3, a + 3 * stride, step);
      if constexpr (Rows > 4) Panels::template add<Count>(row4, a + 4 * stride, step);
      if constexpr (Rows > 5) Panels::template add<Count>(row5, a + 5 * stride, step);
    }
  }
};

}  // namespace
}  // namespace dino8
