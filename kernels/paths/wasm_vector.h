// Vectors of 4 floats of WebAssembly's SIMD instructions, with those of relaxed SIMD where the compiler may use them.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

#include "../exponential.h"
#include "../plain_pair_sums.h"

namespace dino8 {
namespace {

struct Wasm {
  using Type = v128_t;
  static constexpr int Lanes = 4;
  static constexpr int kColumnVectors = 2;
  static Type broadcast(float value) { return wasm_f32x4_splat(value); }
  static Type load(const float* from) { return wasm_v128_load(from); }
  static void store(float* to, Type value) { wasm_v128_store(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return multiply_add(value, wasm_f32x4_splat(weight), sum);
  }
  static Type multiply_add(Type value, Type weight, Type sum) {
#if defined(__wasm_relaxed_simd__)
    return wasm_f32x4_relaxed_madd(value, weight, sum);
#else
    return wasm_f32x4_add(wasm_f32x4_mul(value, weight), sum);
#endif
  }
  static Type add(Type a, Type b) { return wasm_f32x4_add(a, b); }
  static Type subtract(Type a, Type b) { return wasm_f32x4_sub(a, b); }
  // a where b is below it, otherwise b, as the instructions of x86-64 have it.
  static Type larger(Type a, Type b) { return wasm_f32x4_pmax(b, a); }
  static Type power_of_two(Type rounded) {
    return wasm_i32x4_shl(wasm_i32x4_sub(rounded, wasm_i32x4_splat(kRoundingBits - 127)), 23);
  }
  static float highest_of(Type value) {
    const Type two = larger(value, wasm_i32x4_shuffle(value, value, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(larger(two, wasm_i32x4_shuffle(two, two, 1, 1, 1, 1)), 0);
  }
  static float sum_of(Type value) {
    const Type two = add(value, wasm_i32x4_shuffle(value, value, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(add(two, wasm_i32x4_shuffle(two, two, 1, 1, 1, 1)), 0);
  }

  using HalfPairSums = PlainPairSums<8>;

  // See PlainPairSums in plain_pair_sums.h.
  struct PairSums {
    static constexpr int Channels = 8;
    v128_t low = wasm_i32x4_splat(0), high = wasm_i32x4_splat(0);

    template <class Byte>
    void add(const Byte* a, const Byte* b, int32_t weights) {
      const v128_t first = words(a), second = words(b), pair = wasm_i32x4_splat(weights);
      low = wasm_i32x4_add(low, wasm_i32x4_dot_i16x8(wasm_i16x8_shuffle(first, second, 0, 8, 1, 9, 2, 10, 3, 11), pair));
      high = wasm_i32x4_add(high, wasm_i32x4_dot_i16x8(wasm_i16x8_shuffle(first, second, 4, 12, 5, 13, 6, 14, 7, 15), pair));
    }
    void add(const PairSums& other) {
      low = wasm_i32x4_add(low, other.low);
      high = wasm_i32x4_add(high, other.high);
    }
    void store(float* out) const {
      wasm_v128_store(out, wasm_f32x4_convert_i32x4(low));
      wasm_v128_store(out + 4, wasm_f32x4_convert_i32x4(high));
    }

   private:
    static v128_t words(const uint8_t* from) { return wasm_u16x8_load8x8(from); }
    static v128_t words(const int8_t* from) { return wasm_i16x8_load8x8(from); }
  };
};

}  // namespace
}  // namespace dino8
