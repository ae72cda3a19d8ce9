// Integer tiles by instructions of 64-bit ARM processors that add four products of bytes to each of four sums of 32 bits.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "../packed_weight.h"

namespace dino8 {
namespace {

// `Dot` has kOffset, see integer_tile.h, and `add(sums, bytes, weight)`.
template <class Dot>
struct NeonTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = Dot::kOffset;
  static constexpr bool kHasDotProducts = true;

  // The sums of a row for 16 columns.
  struct Sums {
    int32x4_t part0 = vdupq_n_s32(0), part1 = vdupq_n_s32(0), part2 = vdupq_n_s32(0), part3 = vdupq_n_s32(0);
  };

  static void add(Sums& sums, const uint8_t* bytes, const int8x16x4_t& step) {
    uint32_t four;
    std::memcpy(&four, bytes, sizeof four);
    const uint8x16_t row = vreinterpretq_u8_u32(vdupq_n_u32(four));
    sums.part0 = Dot::add(sums.part0, row, step.val[0]);
    sums.part1 = Dot::add(sums.part1, row, step.val[1]);
    sums.part2 = Dot::add(sums.part2, row, step.val[2]);
    sums.part3 = Dot::add(sums.part3, row, step.val[3]);
  }

  static void store(int32_t* out, const Sums& sums) {
    vst1q_s32(out, sums.part0);
    vst1q_s32(out + 4, sums.part1);
    vst1q_s32(out + 8, sums.part2);
    vst1q_s32(out + 12, sums.part3);
  }

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t, int64_t steps, int32_t* out) {
    static_assert(Panels == 1);
    Sums row0, row1, row2, row3, row4, row5;
    for (int64_t at = 0; at < steps; at++, a += kStepDepth, weight += kStepBytes) {
      const int8x16x4_t step = {{vld1q_s8(weight), vld1q_s8(weight + 16), vld1q_s8(weight + 32), vld1q_s8(weight + 48)}};
      add(row0, a, step);
      if constexpr (Rows > 1) add(row1, a + stride, step);
      if constexpr (Rows > 2) add(row2, a + 2 * stride, step);
      if constexpr (Rows > 3) add(row3, a + 3 * stride, step);
      if constexpr (Rows > 4) add(row4, a + 4 * stride, step);
      if constexpr (Rows > 5) add(row5, a + 5 * stride, step);
    }
    store(out, row0);
    if constexpr (Rows > 1) store(out + kPanelColumns, row1);
    if constexpr (Rows > 2) store(out + 2 * kPanelColumns, row2);
    if constexpr (Rows > 3) store(out + 3 * kPanelColumns, row3);
    if constexpr (Rows > 4) store(out + 4 * kPanelColumns, row4);
    if constexpr (Rows > 5) store(out + 5 * kPanelColumns, row5);
  }
};

}  // namespace
}  // namespace dino8
