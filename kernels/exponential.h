// The exponential function and rounding, of one number, written so that compilers make vectors of loops over them, and of
// the vectors of `paths/`. Everything here is in an unnamed namespace; see paths/path_kernels.h.
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
constexpr float kLowestExponent = -80.0f, kInverseLn2 = 1.44269504f;
// ln 2 in two parts, the first of which has so few bits that its products by n are exact.
constexpr float kLn2 = 0.693359375f, kLn2Rest = -2.12194440e-4f;

inline float exponential(float x) {
  x = x > kLowestExponent ? x : kLowestExponent;
  const float shifted = x * kInverseLn2 + kRounding;
  int32_t n;
  std::memcpy(&n, &shifted, sizeof n);
  n -= kRoundingBits;
  const float whole = shifted - kRounding;
  const float r = (x - whole * kLn2) - whole * kLn2Rest;
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

// The same for a vector. V::power_of_two takes n + kRounding.
template <class V>
inline typename V::Type exponential_of(typename V::Type x) {
  using Vector = typename V::Type;
  x = V::larger(x, V::broadcast(kLowestExponent));
  const Vector shifted = V::multiply_add(x, kInverseLn2, V::broadcast(kRounding));
  const Vector whole = V::subtract(shifted, V::broadcast(kRounding));
  const Vector r = V::multiply_add(whole, -kLn2Rest, V::multiply_add(whole, -kLn2, x));
  Vector p = V::broadcast(1.0f / 5040);
  p = V::multiply_add(p, r, V::broadcast(1.0f / 720));
  p = V::multiply_add(p, r, V::broadcast(1.0f / 120));
  p = V::multiply_add(p, r, V::broadcast(1.0f / 24));
  p = V::multiply_add(p, r, V::broadcast(1.0f / 6));
  p = V::multiply_add(p, r, V::broadcast(0.5f));
  p = V::multiply_add(p, r, V::broadcast(1.0f));
  p = V::multiply_add(p, r, V::broadcast(1.0f));
  return V::multiply_add(p, V::power_of_two(shifted), V::broadcast(0.0f));
}

}  // namespace
}  // namespace dino8
