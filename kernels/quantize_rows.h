// Quantization of rows of floats, written so that compilers make vectors of the loops. Everything here is in an unnamed
// namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

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

__attribute__((noinline)) void quantize_row(const float* from, int64_t count, ByteRange range, uint8_t* to) {
  const float inverse = 1 / range.scale, zero_point = static_cast<float>(range.zero_point);
  for (int64_t at = 0; at < count; at++) to[at] = to_byte(from[at], inverse, zero_point);
}

// Quantizes a + b and, unless `sum` is null, keeps the sum as floats too.
inline void add_quantize_row(const float* a, const float* b, int64_t count, ByteRange range, float* sum, uint8_t* to) {
  const float inverse = 1 / range.scale, zero_point = static_cast<float>(range.zero_point);
  if (sum)
    for (int64_t at = 0; at < count; at++) sum[at] = a[at] + b[at];
  if (sum) return quantize_row(sum, count, range, to);
  for (int64_t at = 0; at < count; at++) to[at] = to_byte(a[at] + b[at], inverse, zero_point);
}

}  // namespace
}  // namespace dino8
