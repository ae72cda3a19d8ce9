// Quantization of rows of floats, and the activation functions between two integer products. The loops are written so
// that compilers make vectors of them. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "packed_weight.h"

namespace dino8 {
namespace {

// Adding 1.5 · 2^23 to a number between −2^22 and 2^22 leaves the nearest integer, with ties to even, in the low bits of
// the sum.
constexpr float kRounding = 12582912.0f;
constexpr int32_t kRoundingBits = 0x4b400000;

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

// e^x for x ≤ 0: 2^n · p(r) with n = round(x / ln 2), |r| ≤ ln 2 / 2, and p the Taylor polynomial of degree 7, whose
// relative error is below 1e-7. Below −80 it is e^−80: smaller numbers would soon be denormal, which is slow.
inline float exponential(float x) {
  x = x > -80.0f ? x : -80.0f;
  const float shifted = x * 1.44269504f + kRounding;
  int32_t n;
  std::memcpy(&n, &shifted, sizeof n);
  n -= kRoundingBits;
  const float whole = shifted - kRounding;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t power = (n + 127) << 23;
  float scale;
  std::memcpy(&scale, &power, sizeof scale);
  return p * scale;
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
