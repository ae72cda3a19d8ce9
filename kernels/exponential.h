// The exponential function and rounding, written so that compilers make vectors of loops over them. Everything here is in
// an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

namespace dino8 {
namespace {

// Adding 1.5 · 2^23 to a number between −2^22 and 2^22 leaves the nearest integer, with ties to even, in the low bits of
// the sum.
constexpr float kRounding = 12582912.0f;
constexpr int32_t kRoundingBits = 0x4b400000;

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

}  // namespace
}  // namespace dino8
