// Fake quantization and its gradient, as plain loops that every compiler turns into vector instructions. These are the
// computations of the ONNX functions ai.dino8::FakeQuantize and ai.dino8::FakeQuantizeGradient;
// src/train/fake-quantize.ts describes their inputs and outputs.
#pragma once

#include "gradients.h"

namespace dino8 {
namespace {

// Rounds to the nearest integer, and to the even one of two, for magnitudes below 2^22: the sum has no bits left for a
// fraction.
inline float round_small(float x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  return (x + kShift) - kShift;
}

// Clamps and rounds a ratio of value and scale; the result is the integer minus its zero point. A NaN stays a NaN.
inline float to_steps(float ratio, float low, float high) {
  const float above = ratio < low ? low : ratio;
  return round_small(above > high ? high : above);
}

void fake_quantize(const FakeQuantizeRows& in, float* __restrict out) {
  const int64_t n = in.inner;
  for (int64_t row = 0; row < in.rows; row++) {
    const int64_t first = in.channels == 1 ? 0 : row % in.channels;
    const float* __restrict x = in.x + row * n;
    float* __restrict y = out + row * n;
    if (in.per_element) {  // the channels are the elements of a row
      for (int64_t c = 0; c < n; c++) {
        const float zero = in.zero_points[c];
        y[c] = to_steps(x[c] / in.scales[c], in.lowest - zero, in.highest - zero) * in.scales[c];
      }
      continue;
    }
    const float scale = in.scales[first], zero = in.zero_points[first];
    const float low = in.lowest - zero, high = in.highest - zero;
    for (int64_t c = 0; c < n; c++) y[c] = to_steps(x[c] / scale, low, high) * scale;
  }
}

// Whether a ratio of value and scale is not clamped.
inline bool is_inside(float ratio, float low, float high) { return ratio > low && ratio < high; }

// The derivative with respect to the scale: equation 3 of https://arxiv.org/abs/1902.08153.
inline float scale_slope(float ratio, float low, float high) {
  const float steps = to_steps(ratio, low, high);
  return is_inside(ratio, low, high) ? steps - ratio : steps;
}

void fake_quantize_gradient(const FakeQuantizeRows& in, const float* gradient, float* x_gradient, float* by_scale) {
  const int64_t n = in.inner;
  for (int64_t row = 0; row < in.rows; row++) {
    const int64_t first = in.channels == 1 ? 0 : row % in.channels;
    const float* __restrict x = in.x + row * n;
    const float* __restrict g = gradient + row * n;
    float* __restrict out = x_gradient + row * n;
    if (in.per_element) {
      for (int64_t c = 0; c < n; c++) {
        const float zero = in.zero_points[c], ratio = x[c] / in.scales[c];
        const float low = in.lowest - zero, high = in.highest - zero;
        out[c] = is_inside(ratio, low, high) ? g[c] : 0.0f;
        by_scale[c] += g[c] * scale_slope(ratio, low, high);
      }
      continue;
    }
    constexpr int64_t kLanes = 16;
    const float scale = in.scales[first], zero = in.zero_points[first];
    const float low = in.lowest - zero, high = in.highest - zero;
    float lanes[kLanes] = {};
    const auto element = [&](int64_t c) {
      const float ratio = x[c] / scale;
      out[c] = is_inside(ratio, low, high) ? g[c] : 0.0f;
      return g[c] * scale_slope(ratio, low, high);
    };
    int64_t c = 0;
    for (; c + kLanes <= n; c += kLanes)
      for (int64_t lane = 0; lane < kLanes; lane++) lanes[lane] += element(c + lane);
    float sum = 0.0f;
    for (; c < n; c++) sum += element(c);
    for (float lane : lanes) sum += lane;
    by_scale[first] += sum;
  }
}

}  // namespace
}  // namespace dino8
