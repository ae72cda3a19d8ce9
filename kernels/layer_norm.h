// Layer normalization of a row. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "float_vector.h"

namespace dino8 {
namespace {

constexpr int64_t whole_vectors(int64_t count) { return count / kFloatLanes * kFloatLanes; }

// The numbers of a row behind its last whole vector are taken with some before them, as the last vector of the row, in
// which those before count as 0. Returns 1 for the last `count` numbers of a vector and 0 for the others.
inline FloatVector ones_at_end(int64_t count) {
  IntVector lanes;
  for (int lane = 0; lane < kFloatLanes; lane++) lanes[lane] = lane;
  // A comparison gives −1 where it is true.
  return to_floats(-(lanes >= static_cast<int32_t>(kFloatLanes - count)));
}

// (x − mean) / √(variance + epsilon) · scale + bias over `count` numbers; y may be x.
inline void normalize(const float* x, int64_t count, float mean, const float* scale, const float* bias, float epsilon,
                      float* y) {
  const int64_t whole = whole_vectors(count), rest = count - whole, last = count - kFloatLanes;
  float squares = 0;
  FloatVector sums = all_floats(0), end = all_floats(0);
  const auto difference = [&](int64_t at) { return load_floats(x + at) - mean; };
  for (int64_t at = 0; at < whole; at += kFloatLanes) sums += difference(at) * difference(at);
  if (last < 0) {
    for (int64_t at = 0; at < count; at++) squares += (x[at] - mean) * (x[at] - mean);
  } else if (rest > 0) {
    const FloatVector counted = difference(last) * ones_at_end(rest);
    sums += counted * counted;
  }
  squares += sum_of(sums);
  const float inverse = 1 / std::sqrt(squares / static_cast<float>(count) + epsilon);
  const auto result = [&](int64_t at) { return difference(at) * inverse * load_floats(scale + at) + load_floats(bias + at); };
  if (last < 0) {
    for (int64_t at = 0; at < count; at++) y[at] = (x[at] - mean) * inverse * scale[at] + bias[at];
    return;
  }
  if (rest > 0) end = result(last);
  for (int64_t at = 0; at < whole; at += kFloatLanes) store_floats(y + at, result(at));
  if (rest > 0) store_floats(y + last, end);
}

// y = LayerNormalization(x) over `count` numbers (https://onnx.ai/onnx/operators/onnx__LayerNormalization.html).
inline void layer_norm(const float* x, int64_t count, const float* scale, const float* bias, float epsilon, float* y) {
  const int64_t whole = whole_vectors(count), rest = count - whole, last = count - kFloatLanes;
  float sum = 0;
  FloatVector sums = all_floats(0);
  for (int64_t at = 0; at < whole; at += kFloatLanes) sums += load_floats(x + at);
  if (last < 0)
    for (int64_t at = 0; at < count; at++) sum += x[at];
  else if (rest > 0)
    sums += load_floats(x + last) * ones_at_end(rest);
  normalize(x, count, (sum + sum_of(sums)) / static_cast<float>(count), scale, bias, epsilon, y);
}

}  // namespace
}  // namespace dino8
