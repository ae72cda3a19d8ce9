// Quantization of rows of floats, and the activation functions between two integer products. The loops are written so
// that compilers make vectors of them. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "exponential.h"
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

__attribute__((noinline)) void quantize_row(const float* from, int64_t count, ByteRange range, uint8_t* to) {
  const float inverse = 1 / range.scale, zero_point = static_cast<float>(range.zero_point);
  for (int64_t at = 0; at < count; at++) to[at] = to_byte(from[at], inverse, zero_point);
}

// x · Φ(x), with the error function of Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26, whose error
// is at most 1.5e-7.
inline float gelu(float x) {
  const float z = std::fabs(x) * 0.70710678f;
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * p * t * exponential(-z * z);  // Φ(−|x|)
  return x * (x < 0 ? tail : 1.0f - tail);
}

__attribute__((noinline)) void gelu_row(float* row, int64_t count) {
  for (int64_t at = 0; at < count; at++) row[at] = gelu(row[at]);
}

}  // namespace
}  // namespace dino8
