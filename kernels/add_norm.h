// Layer normalization of a row, or of the sum of two rows. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cmath>
#include <cstdint>

namespace dino8 {
namespace {

// Sums are kept in so many parts, which compilers turn into vectors.
constexpr int64_t kParts = 16;

inline float sum_of(const float (&parts)[kParts]) {
  float sum = 0;
  for (const float part : parts) sum += part;
  return sum;
}

// y = (x − mean) / √(variance + epsilon) · scale + bias over `count` numbers; y may be x.
inline void normalize(const float* x, int64_t count, float mean, const float* scale, const float* bias, float epsilon,
                      float* y) {
  const int64_t whole = count / kParts * kParts;
  float squares[kParts] = {};
  for (int64_t at = 0; at < whole; at += kParts)
    for (int64_t part = 0; part < kParts; part++) {
      const float difference = x[at + part] - mean;
      squares[part] += difference * difference;
    }
  for (int64_t at = whole; at < count; at++) squares[at - whole] += (x[at] - mean) * (x[at] - mean);
  const float inverse = 1 / std::sqrt(sum_of(squares) / static_cast<float>(count) + epsilon);
  for (int64_t at = 0; at < count; at++) y[at] = (x[at] - mean) * inverse * scale[at] + bias[at];
}

// y = LayerNormalization(x) over `count` numbers (https://onnx.ai/onnx/operators/onnx__LayerNormalization.html).
inline void layer_norm(const float* x, int64_t count, const float* scale, const float* bias, float epsilon, float* y) {
  const int64_t whole = count / kParts * kParts;
  float sums[kParts] = {};
  for (int64_t at = 0; at < whole; at += kParts)
    for (int64_t part = 0; part < kParts; part++) sums[part] += x[at + part];
  for (int64_t at = whole; at < count; at++) sums[at - whole] += x[at];
  normalize(x, count, sum_of(sums) / static_cast<float>(count), scale, bias, epsilon, y);
}

// y = LayerNormalization(y + residual) over `count` numbers.
inline void add_norm(const float* residual, int64_t count, const float* scale, const float* bias, float epsilon,
                     float* y) {
  const int64_t whole = count / kParts * kParts;
  float sums[kParts] = {};
  for (int64_t at = 0; at < whole; at += kParts)
    for (int64_t part = 0; part < kParts; part++) {
      y[at + part] += residual[at + part];
      sums[part] += y[at + part];
    }
  for (int64_t at = whole; at < count; at++) sums[at - whole] += y[at] += residual[at];
  normalize(y, count, sum_of(sums) / static_cast<float>(count), scale, bias, epsilon, y);
}

}  // namespace
}  // namespace dino8
