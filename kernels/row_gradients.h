// The gradients of layer normalization and softmax, as plain loops that every compiler turns into vector instructions.
#pragma once

#include <cmath>

#include "gradients.h"

namespace dino8 {
namespace {

constexpr int64_t kSumLanes = 16;

// The sum of `term(c)` over the channels, in lanes that are joined at the end: in a plain loop each addition would wait
// for the one before.
template <class Term>
float sum_channels_of(int64_t channels, Term term) {
  float lanes[kSumLanes] = {};
  int64_t c = 0;
  for (; c + kSumLanes <= channels; c += kSumLanes)
    for (int64_t lane = 0; lane < kSumLanes; lane++) lanes[lane] += term(c + lane);
  float sum = 0.0f;
  for (; c < channels; c++) sum += term(c);
  for (float lane : lanes) sum += lane;
  return sum;
}

// dx = (h - mean(h) - x̂ mean(h x̂)) / σ, where h is the gradient times the scale and x̂ is the normalized x.
void layer_normalization_gradient(const GradientRows& in, const float* __restrict scale, float epsilon,
                                  float* __restrict scale_gradient, float* __restrict bias_gradient) {
  const int64_t n = in.channels;
  const float share = 1.0f / static_cast<float>(n);
  for (int64_t row = 0; row < in.rows; row++) {
    const float* __restrict x = in.x + row * n;
    const float* __restrict g = in.gradient + row * n;
    float* __restrict out = in.x_gradient + row * n;
    const float mean = share * sum_channels_of(n, [&](int64_t c) { return x[c]; });
    const float variance = share * sum_channels_of(n, [&](int64_t c) { return (x[c] - mean) * (x[c] - mean); });
    const float inverse = 1.0f / std::sqrt(variance + epsilon);
    const float mean_h = share * sum_channels_of(n, [&](int64_t c) { return g[c] * scale[c]; });
    const float along =
        share * inverse * inverse * sum_channels_of(n, [&](int64_t c) { return g[c] * scale[c] * (x[c] - mean); });
    for (int64_t c = 0; c < n; c++) {
      const float centred = x[c] - mean;
      out[c] = inverse * (g[c] * scale[c] - mean_h - centred * along);
      scale_gradient[c] += g[c] * centred * inverse;
      bias_gradient[c] += g[c];
    }
  }
}

// dx = y (g - Σ g y)
void softmax_gradient(const GradientRows& in) {
  const int64_t n = in.channels;
  for (int64_t row = 0; row < in.rows; row++) {
    const float* __restrict y = in.x + row * n;
    const float* __restrict g = in.gradient + row * n;
    float* __restrict out = in.x_gradient + row * n;
    const float along = sum_channels_of(n, [&](int64_t c) { return g[c] * y[c]; });
    for (int64_t c = 0; c < n; c++) out[c] = y[c] * (g[c] - along);
  }
}

}  // namespace
}  // namespace dino8
