// Vectors of 4 floats of NEON, for the paths with and without dot products.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "../exponential.h"
#include "../plain_pair_sums.h"

namespace dino8 {
namespace {

struct Neon {
  using Type = float32x4_t;
  static constexpr int Lanes = 4;
  static constexpr int kColumnVectors = 4;
  static Type broadcast(float value) { return vdupq_n_f32(value); }
  static Type load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, Type value) { vst1q_f32(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) { return vfmaq_n_f32(sum, value, weight); }
  static Type multiply_add(Type value, Type weight, Type sum) { return vfmaq_f32(sum, value, weight); }
  static Type add(Type a, Type b) { return vaddq_f32(a, b); }
  static Type subtract(Type a, Type b) { return vsubq_f32(a, b); }
  // The second number where the first one is none, as the instructions of x86-64 have it.
  static Type larger(Type a, Type b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static Type power_of_two(Type rounded) {
    const int32x4_t exponent = vsubq_s32(vreinterpretq_s32_f32(rounded), vdupq_n_s32(kRoundingBits - 127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
  }
  static float highest_of(Type value) { return vmaxvq_f32(value); }
  static float sum_of(Type value) { return vaddvq_f32(value); }

  using HalfPairSums = PlainPairSums<8>;

  // See PlainPairSums in plain_pair_sums.h.
  struct PairSums {
    static constexpr int Channels = 8;
    int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);

    template <class Byte>
    void add(const Byte* a, const Byte* b, int32_t weights) {
      add_one(words(a), static_cast<int16_t>(weights));
      add_one(words(b), static_cast<int16_t>(weights >> 16));
    }
    void add(const PairSums& other) {
      low = vaddq_s32(low, other.low);
      high = vaddq_s32(high, other.high);
    }
    void store(float* out) const {
      vst1q_f32(out, vcvtq_f32_s32(low));
      vst1q_f32(out + 4, vcvtq_f32_s32(high));
    }

   private:
    void add_one(int16x8_t values, int16_t weight) {
      low = vmlal_n_s16(low, vget_low_s16(values), weight);
      high = vmlal_n_s16(high, vget_high_s16(values), weight);
    }
    static int16x8_t words(const uint8_t* from) { return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from))); }
    static int16x8_t words(const int8_t* from) { return vmovl_s8(vld1_s8(from)); }
  };
};

}  // namespace
}  // namespace dino8
