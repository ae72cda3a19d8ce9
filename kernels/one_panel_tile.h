// Integer tiles of six rows and one panel, for instruction sets whose registers hold a part of a panel's sums. Everything
// here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "packed_weight.h"

namespace dino8 {
namespace {

// The four bytes of a row that meet a step of a panel.
template <class Four>
Four load_four(const uint8_t* bytes) {
  Four four;
  std::memcpy(&four, bytes, sizeof four);
  return four;
}

// A type `Panel` has
// - kOffset, see integer_tile.h;
// - Step, the 64 weights of a step, and `load(weight)`;
// - Sums, the 16 sums of a row, `begin(initial)`, `add(sums, bytes, step)` and `store(out, sums)`.
template <class Panel>
struct OnePanelTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = Panel::kOffset;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = false;

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    static_assert(Panels == 1);
    typename Panel::Sums row0 = Panel::begin(initial), row1 = row0, row2 = row0, row3 = row0, row4 = row0, row5 = row0;
    for (int64_t at = 0; at < steps; at++, a += step_stride, weight += kStepBytes) {
      const typename Panel::Step step = Panel::load(weight);
      Panel::add(row0, a, step);
      if constexpr (Rows > 1) Panel::add(row1, a + stride, step);
      if constexpr (Rows > 2) Panel::add(row2, a + 2 * stride, step);
      if constexpr (Rows > 3) Panel::add(row3, a + 3 * stride, step);
      if constexpr (Rows > 4) Panel::add(row4, a + 4 * stride, step);
      if constexpr (Rows > 5) Panel::add(row5, a + 5 * stride, step);
    }
    Panel::store(out, row0);
    if constexpr (Rows > 1) Panel::store(out + kPanelColumns, row1);
    if constexpr (Rows > 2) Panel::store(out + 2 * kPanelColumns, row2);
    if constexpr (Rows > 3) Panel::store(out + 3 * kPanelColumns, row3);
    if constexpr (Rows > 4) Panel::store(out + 4 * kPanelColumns, row4);
    if constexpr (Rows > 5) Panel::store(out + 5 * kPanelColumns, row5);
  }
};

}  // namespace
}  // namespace dino8
