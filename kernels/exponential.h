// The exponential function and rounding, of one number, written so that compilers make vectors of loops over them, and of
// the vectors of `paths/`. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "float_vector.h"

namespace dino8 {
namespace {

// e^x for x ≤ 0: 2^n · p(f) with n = round(x / ln 2) and f = x / ln 2 − n, where p is the polynomial of degree 5 with p(0) = 1
// and the smallest relative error of 2^f for |f| ≤ 1/2, 1.1e-7. The error of 1 / ln 2 in single precision adds |x| · 1.4e-8.
// Below −80 it is e^−80: smaller numbers would soon be denormal, which is slow.
constexpr float kLowestExponent = -80.0f, kInverseLn2 = 1.44269504f;
constexpr float kFirstOfPower = 0.0013264727f;
constexpr float kOthersOfPower[] = {0.009671513f, 0.055507336f, 0.24022242f, 0.693147f, 1.0f};

inline float exponential(float x) {
  x = x > kLowestExponent ? x : kLowestExponent;
  const float shifted = x * kInverseLn2 + kRounding;
  int32_t n;
  std::memcpy(&n, &shifted, sizeof n);
  n -= kRoundingBits;
  const float f = x * kInverseLn2 - (shifted - kRounding);
  float p = kFirstOfPower;
#pragma GCC unroll 5
  for (const float coefficient : kOthersOfPower) p = p * f + coefficient;
  const int32_t power = (n + 127) << 23;
  float scale;
  std::memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

// The same for the vectors of float_vector.h.
inline FloatVector exponentials(FloatVector x) {
  x = larger(x, all_floats(kLowestExponent));
  const FloatVector shifted = x * kInverseLn2 + kRounding;
  const FloatVector f = x * kInverseLn2 - (shifted - kRounding);
  FloatVector p = all_floats(kFirstOfPower);
#pragma GCC unroll 5
  for (const float coefficient : kOthersOfPower) p = p * f + coefficient;
  const IntVector power = (bits_of(shifted) - kRoundingBits + 127) << 23;
  FloatVector scale;
  std::memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

// The same for the vectors of `paths/`. V::power_of_two takes n + kRounding.
template <class V>
inline typename V::Type exponential_of(typename V::Type x) {
  using Vector = typename V::Type;
  x = V::larger(x, V::broadcast(kLowestExponent));
  const Vector shifted = V::multiply_add(x, kInverseLn2, V::broadcast(kRounding));
  const Vector f = V::multiply_add(x, kInverseLn2, V::subtract(V::broadcast(kRounding), shifted));
  Vector p = V::broadcast(kFirstOfPower);
#pragma GCC unroll 5
  for (const float coefficient : kOthersOfPower) p = V::multiply_add(p, f, V::broadcast(coefficient));
  return V::multiply_add(p, V::power_of_two(shifted), V::broadcast(0.0f));
}

}  // namespace
}  // namespace dino8
