// The weights of softmax as bytes. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstring>

#include "float_vector.h"

namespace dino8 {
namespace {

// Sets the lower 16 bits of `bits` to round(255 · 2^x) for x ≤ 0, with a polynomial of degree 3 for the fraction, whose relative error
// is below 1.1e-4. It is 0 where x is not a number. The other bits are those of kRoundingBits. The vectors take each step together,
// since a step waits for the one before.
template <int Count>
inline void weight_bits(const FloatVector (&exponents)[Count], IntVector (&bits)[Count]) {
  // The lowest bits of a sum with this number are the nearest integer plus 127, which is the exponent of a float.
  constexpr float kLowest = -100, kExponent = kRounding + 127;
  FloatVector x[Count], shifted[Count], p[Count];
#define DINO8_EACH \
  _Pragma("GCC unroll 4") for (int each = 0; each < Count; each++)
  DINO8_EACH x[each] = larger(exponents[each], all_floats(kLowest));
  DINO8_EACH shifted[each] = x[each] + kExponent;
  DINO8_EACH p[each] = shifted[each] - kExponent;
  DINO8_EACH x[each] = x[each] - p[each];
  DINO8_EACH p[each] = multiply_add(all_floats(0.05500848f * 255), x[each], all_floats(0.24221012f * 255));
  DINO8_EACH p[each] = multiply_add(p[each], x[each], all_floats(0.69328288f * 255));
  DINO8_EACH p[each] = multiply_add(p[each], x[each], all_floats(255));
  DINO8_EACH bits[each] = bits_of(shifted[each]) << 23;
  DINO8_EACH std::memcpy(&shifted[each], &bits[each], sizeof(FloatVector));
  DINO8_EACH bits[each] = bits_of(multiply_add(p[each], shifted[each], all_floats(kRounding)));
#undef DINO8_EACH
}

}  // namespace
}  // namespace dino8
