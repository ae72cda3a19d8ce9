// Vectors of 4 floats of NEON, for the paths with and without dot products.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace dino8 {
namespace {

struct Neon {
  using Type = float32x4_t;
  static constexpr int Lanes = 4;
  static Type broadcast(float value) { return vdupq_n_f32(value); }
  static Type load(const float* from) { return vld1q_f32(from); }
  static Type load(const uint8_t* from) {
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four_bytes(from))))));
  }
  static Type load(const int8_t* from) {
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four_bytes(from))))));
  }
  static uint64_t four_bytes(const void* from) {
    uint32_t bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return bytes;
  }
  static void store(float* to, Type value) { vst1q_f32(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) { return vfmaq_n_f32(sum, value, weight); }
};

}  // namespace
}  // namespace dino8
