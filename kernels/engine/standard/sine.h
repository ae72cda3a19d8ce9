// Sine and cosine of vectors of floats. Everything here is in an unnamed namespace; see ../../paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "vector_math.h"

namespace dino8 {
namespace {

// For larger numbers, the products below are not exact.
constexpr float kMostForSine = 8192;

inline bool are_near_for_sine(const float* from, int64_t count) {
  IntVector far{};
  int64_t at = 0;
  for (; at + kFloatLanes <= count; at += kFloatLanes) {
    const FloatVector x = load_floats(from + at);
    far |= ~((x < kMostForSine) & (x > -kMostForSine));
  }
  if (at < count) {
    const FloatVector x = load_some(from + at, count - at);
    far |= ~((x < kMostForSine) & (x > -kMostForSine));
  }
  return sum_of(far) == 0;
}

// With r = x − n π/2 and n = round(x / (π/2)), sin(x) is one of sin(r), cos(r), −sin(r) and −cos(r), and cos(x) is the
// sine for n + 1. |r| is at most π/4, where the Taylor polynomials have errors below 1e-8.
template <bool is_cosine>
FloatVector sine(FloatVector x) {
  // π/2 in three parts. The first two have so few bits that their products by n are exact.
  constexpr float kHalfPi[] = {1.5703125f, 4.837512969970703e-4f, 7.549789955e-8f};
  const FloatVector shifted = x * 0.636619772f + kRounding, n = shifted - kRounding;
  const FloatVector r = ((x - n * kHalfPi[0]) - n * kHalfPi[1]) - n * kHalfPi[2], square = r * r;
  constexpr float kSine[] = {1.0f / 362880, -1.0f / 5040, 1.0f / 120, -1.0f / 6};
  constexpr float kCosine[] = {-1.0f / 3628800, 1.0f / 40320, -1.0f / 720, 1.0f / 24, -0.5f, 1};
  FloatVector s{}, c{};
  for (const float coefficient : kSine) s = s * square + coefficient;
  for (const float coefficient : kCosine) c = c * square + coefficient;
  s = r + r * (square * s);
  const IntVector turn = bits_of(shifted) + (is_cosine ? 1 : 0);  // the lowest bits are those of n
  const IntVector takes_cosine = -(turn & 1);
  typedef uint32_t Bits __attribute__((vector_size(sizeof(IntVector))));
  const IntVector sign = (IntVector)((Bits)(turn & 2) << 30);
  const IntVector bits = ((bits_of(c) & takes_cosine) | (bits_of(s) & ~takes_cosine)) ^ sign;
  FloatVector result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

}  // namespace
}  // namespace dino8
