// Layer normalization of a row. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "float_vector.h"
#include "moments_so_far.h"

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

// So many rows are normalized together, since each step of a sum waits for the one before.
constexpr int kNormRows = 4;

// y = (x − mean) / √(variance + epsilon) · scale + bias over a row of fewer numbers than a vector has; y may be x.
inline void normalize_few(const float* x, int64_t count, const float* scale, const float* bias, float epsilon, float* y) {
  float sum = 0, squares = 0;
  for (int64_t at = 0; at < count; at++) sum += x[at];
  const float mean = sum / static_cast<float>(count);
  for (int64_t at = 0; at < count; at++) squares += (x[at] - mean) * (x[at] - mean);
  const float inverse = 1 / std::sqrt(squares / static_cast<float>(count) + epsilon);
  for (int64_t at = 0; at < count; at++) y[at] = (x[at] - mean) * inverse * scale[at] + bias[at];
}

// The means of some rows and the inverses of their standard deviations, √(variance + epsilon). A row is normalized by subtracting its
// mean and multiplying by the inverse.
template <int Rows>
struct NormMoments {
  float mean[Rows], inverse[Rows];

  // Computes them for rows `x` of `count` numbers each. A row has at least as many numbers as a vector.
  NormMoments(const float* const (&x)[Rows], int64_t count, float epsilon) {
    const int64_t whole = whole_vectors(count), rest = count - whole, last = count - kFloatLanes;
    const FloatVector ones = ones_at_end(rest);
    FloatVector sums[Rows] = {};
    for (int64_t at = 0; at < whole; at += kFloatLanes) {
#pragma GCC unroll 8
      for (int row = 0; row < Rows; row++) sums[row] += load_floats(x[row] + at);
    }
#pragma GCC unroll 8
    for (int row = 0; row < Rows; row++) {
      if (rest > 0) sums[row] += load_floats(x[row] + last) * ones;
      mean[row] = sum_of(sums[row]) / static_cast<float>(count);
      sums[row] = all_floats(0);
    }
    for (int64_t at = 0; at < whole; at += kFloatLanes) {
#pragma GCC unroll 8
      for (int row = 0; row < Rows; row++) {
        const FloatVector difference = load_floats(x[row] + at) - mean[row];
        sums[row] += difference * difference;
      }
    }
#pragma GCC unroll 8
    for (int row = 0; row < Rows; row++) {
      if (rest > 0) {
        const FloatVector counted = (load_floats(x[row] + last) - mean[row]) * ones;
        sums[row] += counted * counted;
      }
      inverse[row] = 1 / std::sqrt(sum_of(sums[row]) / static_cast<float>(count) + epsilon);
    }
  }

  // Takes them from what was added up while the rows were made. Their `count` is a multiple of kFloatLanes.
  NormMoments(const MomentsSoFar* rows, int64_t count, float epsilon) {
#pragma GCC unroll 8
    for (int row = 0; row < Rows; row++) {
      mean[row] = sum_of(rows[row].mean) / static_cast<float>(kFloatLanes);
      const FloatVector distance = rows[row].mean - mean[row];
      const FloatVector squares = rows[row].squares + distance * distance * static_cast<float>(count / kFloatLanes);
      inverse[row] = 1 / std::sqrt(sum_of(squares) / static_cast<float>(count) + epsilon);
    }
  }
};

// Normalizes rows [Rows, count] that have at least as many numbers as a vector; y may be x.
template <int Rows>
inline void normalize_by(const NormMoments<Rows>& moments, const float* x, int64_t count, const float* scale, const float* bias,
                         float* y) {
  const int64_t whole = whole_vectors(count), rest = count - whole, last = count - kFloatLanes;
  const float* rows[Rows];
  for (int row = 0; row < Rows; row++) rows[row] = x + row * count;
  const auto result = [&](int row, int64_t at) {
    return (load_floats(rows[row] + at) - moments.mean[row]) * moments.inverse[row] * load_floats(scale + at) + load_floats(bias + at);
  };
  // It is computed before the numbers that it shares with another vector are overwritten.
  FloatVector end[Rows] = {};
  if (rest > 0)
    for (int row = 0; row < Rows; row++) end[row] = result(row, last);
  for (int64_t at = 0; at < whole; at += kFloatLanes) {
#pragma GCC unroll 8
    for (int row = 0; row < Rows; row++) store_floats(y + row * count + at, result(row, at));
  }
  if (rest > 0)
    for (int row = 0; row < Rows; row++) store_floats(y + row * count + last, end[row]);
}

// The same as normalize_few for rows [Rows, count] that have at least as many numbers as a vector.
template <int Rows>
inline void normalize(const float* x, int64_t count, const float* scale, const float* bias, float epsilon, float* y) {
  const float* rows[Rows];
  for (int row = 0; row < Rows; row++) rows[row] = x + row * count;
  normalize_by(NormMoments<Rows>(rows, count, epsilon), x, count, scale, bias, y);
}

// y = LayerNormalization(x) over `count` numbers (https://onnx.ai/onnx/operators/onnx__LayerNormalization.html); y may be x.
inline void layer_norm(const float* x, int64_t count, const float* scale, const float* bias, float epsilon, float* y) {
  if (count < kFloatLanes) normalize_few(x, count, scale, bias, epsilon, y);
  else normalize<1>(x, count, scale, bias, epsilon, y);
}

// The same for rows [rows, count].
inline void layer_norms(const float* x, int64_t rows, int64_t count, const float* scale, const float* bias, float epsilon,
                        float* y) {
  int64_t row = 0;
  if (count >= kFloatLanes)
    for (; row + kNormRows <= rows; row += kNormRows)
      normalize<kNormRows>(x + row * count, count, scale, bias, epsilon, y + row * count);
  for (; row < rows; row++) layer_norm(x + row * count, count, scale, bias, epsilon, y + row * count);
}

// The same in place for rows whose moments were added up while they were made. `count` is a multiple of kFloatLanes.
inline void layer_norms_by(const MomentsSoFar* moments, int64_t rows, int64_t count, const float* scale, const float* bias, float epsilon,
                           float* y) {
  int64_t row = 0;
  for (; row + kNormRows <= rows; row += kNormRows) {
    float* const some = y + row * count;
    normalize_by(NormMoments<kNormRows>(moments + row, count, epsilon), some, count, scale, bias, some);
  }
  for (; row < rows; row++) {
    float* const one = y + row * count;
    normalize_by(NormMoments<1>(moments + row, count, epsilon), one, count, scale, bias, one);
  }
}

}  // namespace
}  // namespace dino8
