// Quantization of rows of floats, written so that compilers make vectors of the loops. Everything here is in an unnamed
// namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "exponential.h"
#include "float_vector.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// QuantizeLinear (https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html) to uint8, by the inverse of the scale, so
// that a number halfway between two integers may go to the other one. NaN becomes the lowest byte.
inline uint8_t to_byte(float value, float inverse, float zero_point) {
  float scaled = value * inverse;
  const float lowest = -zero_point, highest = 255 - zero_point;
  scaled = scaled > lowest ? scaled : lowest;
  scaled = scaled < highest ? scaled : highest;
  const float shifted = scaled + kRounding;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  return static_cast<uint8_t>(bits - kRoundingBits + static_cast<int32_t>(zero_point));
}

// The same for a vector.
inline IntVector to_byte(FloatVector value, float inverse, float zero_point) {
  const FloatVector raised = larger(value * inverse, all_floats(-zero_point));
  const FloatVector limited = smaller(raised, all_floats(255 - zero_point));
  return bits_of(limited + kRounding) + (static_cast<int32_t>(zero_point) - kRoundingBits);
}

// Stores the same bytes of as many vectors as store_limited_bytes takes.
template <int Count>
inline void store_as_bytes(uint8_t* to, const FloatVector (&values)[Count], float inverse, float zero_point) {
  const IntVector offset = IntVector{} + static_cast<int32_t>(zero_point);
  IntVector nearest[Count];
#pragma GCC unroll 4
  for (int at = 0; at < Count; at++)
    nearest[at] = nearest_integers(smaller(all_floats(255 - zero_point), values[at] * inverse), offset);
  store_limited_bytes(to, nearest);
}

// Calls take(vectors, at) for `count` columns, a multiple of 16: with four vectors at a time, and with the vectors of 16 columns where
// fewer are left. `vectors` is a std::integral_constant, the number of vectors from column `at` on.
template <class Take>
inline void take_vectors(int64_t count, const Take& take) {
  int64_t at = 0;
  for (; at + 4 * kFloatLanes <= count; at += 4 * kFloatLanes) take(std::integral_constant<int, 4>(), at);
  for (; at < count; at += 16) take(std::integral_constant<int, 16 / kFloatLanes>(), at);
}

__attribute__((noinline)) void quantize_row(const float* from, int64_t count, ByteRange range, uint8_t* to) {
  const float inverse = 1 / range.scale, zero_point = static_cast<float>(range.zero_point);
  const auto quantize = [=](auto vectors, int64_t at) {
    FloatVector values[vectors];
    for (int64_t each = 0; each < vectors; each++) values[each] = load_floats(from + at + each * kFloatLanes);
    store_as_bytes(to + at, values, inverse, zero_point);
  };
  take_vectors(count / 16 * 16, quantize);
  if (count % 16 == 0) return;
  if (count >= 16) quantize(std::integral_constant<int, 16 / kFloatLanes>(), count - 16);
  else
    for (int64_t at = 0; at < count; at++) to[at] = to_byte(from[at], inverse, zero_point);
}

// Quantizes a + b and, unless `sum` is null, keeps the sum as floats too.
inline void add_quantize_row(const float* a, const float* b, int64_t count, ByteRange range, float* sum, uint8_t* to) {
  const float inverse = 1 / range.scale, zero_point = static_cast<float>(range.zero_point);
  int64_t at = 0;
  for (; at + 16 <= count; at += 16) {
    IntVector bytes[16 / kFloatLanes];
    for (int64_t lane = 0; lane < 16; lane += kFloatLanes) {
      const FloatVector both = load_floats(a + at + lane) + load_floats(b + at + lane);
      if (sum) store_floats(sum + at + lane, both);
      bytes[lane / kFloatLanes] = to_byte(both, inverse, zero_point);
    }
    store_bytes(to + at, bytes);
  }
  for (; at < count; at++) {
    const float both = a[at] + b[at];
    if (sum) sum[at] = both;
    to[at] = to_byte(both, inverse, zero_point);
  }
}

}  // namespace
}  // namespace dino8
