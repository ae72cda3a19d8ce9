// Functions of vectors of floats that are built on e^x. Everything here is in an unnamed namespace; see
// ../../paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../../exponential.h"
#include "../../float_vector.h"

namespace dino8 {
namespace {

// The first `count` numbers of a vector; the others are 0.
inline FloatVector load_some(const float* from, int64_t count) {
  if (count == kFloatLanes) return load_floats(from);
  float numbers[kFloatLanes] = {};
  std::copy(from, from + count, numbers);
  return load_floats(numbers);
}

inline void store_some(float* to, int64_t count, FloatVector value) {
  if (count == kFloatLanes) return store_floats(to, value);
  float numbers[kFloatLanes];
  store_floats(numbers, value);
  std::copy(numbers, numbers + count, to);
}

// to[i] = function(from[i]), by vectors; `to` is not `from`.
template <class Function>
void map_vectors(const float* from, int64_t count, float* to, const Function& function) {
  const int64_t last = count - kFloatLanes;
  if (last < 0) return store_some(to, count, function(load_some(from, count)));
  for (int64_t at = 0; at < last; at += kFloatLanes) store_floats(to + at, function(load_floats(from + at)));
  store_floats(to + last, function(load_floats(from + last)));
}

// The numbers of a vector where the mask is −1, otherwise 0.
inline FloatVector where(IntVector mask, FloatVector value) {
  const IntVector bits = bits_of(value) & mask;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// e^x by the Taylor polynomial of degree 7, for x ≤ 88, with larger numbers counted as 88, and 0 below −87, where the
// result would soon be denormal. NaN stays NaN, which is why x is the second operand of `larger` and `smaller`.
inline FloatVector exponential(FloatVector x) {
  constexpr float kLowest = -87, kHighest = 88;
  const FloatVector limited = smaller(all_floats(kHighest), larger(all_floats(kLowest), x));
  const FloatVector shifted = limited * kInverseLn2 + kRounding;
  const FloatVector whole = shifted - kRounding;
  // ln 2 in two parts, the first of which has so few bits that its products by whole numbers are exact.
  constexpr float kLn2 = 0.693359375f, kLn2Rest = -2.12194440e-4f;
  const FloatVector r = (limited - whole * kLn2) - whole * kLn2Rest;
  constexpr float kCoefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
  FloatVector p = all_floats(1.0f / 5040);
  for (const float coefficient : kCoefficients) p = p * r + coefficient;
  typedef uint32_t Bits __attribute__((vector_size(sizeof(IntVector))));
  const Bits power = ((Bits)bits_of(shifted) + static_cast<uint32_t>(127 - kRoundingBits)) << 23;
  FloatVector scale;
  std::memcpy(&scale, &power, sizeof scale);
  return where(~(x < kLowest), p * scale);
}

// 1 / (1 + e^−x)
inline FloatVector sigmoid(FloatVector x) { return 1 / (1 + exponential(-x)); }

// tanh(x) = 1 − 2 / (e^2x + 1). Near 0, where that would lose digits, it is x + x³ · p(x²), with the coefficients of
// the smallest squared error.
inline FloatVector hyperbolic_tangent(FloatVector x) {
  constexpr float kNear = 0.6f;
  constexpr float kCoefficients[] = {-5.89395e-3f, 2.079462e-2f, -5.378329e-2f, 0.13331915f, -0.333333f};
  const FloatVector square = x * x;
  FloatVector p = all_floats(0);
  for (const float coefficient : kCoefficients) p = p * square + coefficient;
  const IntVector is_near = (x < kNear) & (x > -kNear);
  const FloatVector near = x + x * square * p, far = 1 - 2 / (exponential(2 * x) + 1);
  return where(is_near, near) + where(~is_near, far);
}

// Gelu with tanh: x / 2 · (1 + tanh(√(2 / π) · (x + 0.044715 x³))) = x · sigmoid(2 √(2 / π) · (x + 0.044715 x³)). Below
// −20 it is that of −20, which is 0.
inline FloatVector gelu_by_tanh(FloatVector x) {
  constexpr float kTwiceRoot = 1.59576912f;
  x = larger(all_floats(-20), x);
  return x * sigmoid(kTwiceRoot * (x + 0.044715f * (x * x * x)));
}

}  // namespace
}  // namespace dino8
