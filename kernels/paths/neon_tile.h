// Integer tiles by instructions of 64-bit ARM processors that add four products of bytes to each of four sums of 32 bits.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "../six_row_tile.h"

namespace dino8 {
namespace {

// `Dot` has kOffset, see integer_tile.h, and `add(sums, bytes, weight)`.
template <class Dot>
struct NeonPanel {
  static constexpr int kCount = 1;
  static constexpr int32_t kOffset = Dot::kOffset;

  using Step = int8x16x4_t;

  // The sums of a row for 16 columns.
  struct Sums {
    int32x4_t part0, part1, part2, part3;
  };

  template <int>
  static Step load(const int8_t* weight, int64_t) {
    return {{vld1q_s8(weight), vld1q_s8(weight + 16), vld1q_s8(weight + 32), vld1q_s8(weight + 48)}};
  }

  template <int>
  static Sums begin(const int32_t* initial) {
    return {vld1q_s32(initial), vld1q_s32(initial + 4), vld1q_s32(initial + 8), vld1q_s32(initial + 12)};
  }

  template <int>
  static void add(Sums& sums, const uint8_t* bytes, const Step& step) {
    const uint8x16_t row = vreinterpretq_u8_u32(vdupq_n_u32(load_four<uint32_t>(bytes)));
    sums.part0 = Dot::add(sums.part0, row, step.val[0]);
    sums.part1 = Dot::add(sums.part1, row, step.val[1]);
    sums.part2 = Dot::add(sums.part2, row, step.val[2]);
    sums.part3 = Dot::add(sums.part3, row, step.val[3]);
  }

  template <int>
  static void store(int32_t* out, const Sums& sums) {
    vst1q_s32(out, sums.part0);
    vst1q_s32(out + 4, sums.part1);
    vst1q_s32(out + 8, sums.part2);
    vst1q_s32(out + 12, sums.part3);
  }

  static IntVector vector(const Sums& sums, int64_t at) {
    return (IntVector)(at < 4 ? sums.part0 : at < 8 ? sums.part1 : at < 12 ? sums.part2 : sums.part3);
  }

  template <int>
  static void hold(Sums& sums) { asm volatile("" : "+w"(sums.part0), "+w"(sums.part1), "+w"(sums.part2), "+w"(sums.part3)); }
};

template <class Dot>
using NeonTile = SixRowTile<NeonPanel<Dot>>;

}  // namespace
}  // namespace dino8
