#include "wasm_dot.h"

#if defined(__wasm_relaxed_simd__)
#include <wasm_simd128.h>

#include <cstdint>

namespace dino8 {
namespace {

// The sums and four products of bytes each, by numbers of 16 bits, whose products are added in 32 bits.
v128_t exact(v128_t a, v128_t b, v128_t sums, bool is_signed) {
  const v128_t b_low = is_signed ? wasm_i16x8_extend_low_i8x16(b) : wasm_u16x8_extend_low_u8x16(b);
  const v128_t b_high = is_signed ? wasm_i16x8_extend_high_i8x16(b) : wasm_u16x8_extend_high_u8x16(b);
  const v128_t low = wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(a), b_low);
  const v128_t high = wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(a), b_high);
  const v128_t even = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
  return wasm_i32x4_add(sums, wasm_i32x4_add(even, odd));
}

// True if the instruction gives the exact sums for all pairs of bytes: the same pair in all places, whose sums are the
// largest, and pairs that differ, each of which is in each place once.
bool is_exact(bool is_signed) {
  const v128_t places = wasm_i8x16_const(0, 17, 34, 51, 68, 85, 102, 119, -120, -103, -86, -69, -52, -35, -18, -1);
  const v128_t sums = wasm_i32x4_const(0, 1, -1000000000, 1000000000);
  v128_t differences = wasm_i32x4_splat(0);
  const auto compare = [&](v128_t a, v128_t b) {
    const v128_t found = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, b, sums);
    differences = wasm_v128_or(differences, wasm_v128_xor(found, exact(a, b, sums, is_signed)));
  };
  for (int first = 0; first < 256; first++)
    for (int second = 0; second < 256; second++) {
      const v128_t a = wasm_i8x16_splat(static_cast<int8_t>(first)), b = wasm_i8x16_splat(static_cast<int8_t>(second));
      compare(a, b);
      compare(wasm_v128_xor(a, places), wasm_i8x16_add(b, places));
    }
  return !wasm_v128_any_true(differences);
}

}  // namespace

RelaxedDot relaxed_dot() {
  return is_exact(false) ? RelaxedDot::kUnsigned : is_exact(true) ? RelaxedDot::kSigned : RelaxedDot::kInexact;
}

}  // namespace dino8
#endif
