// Rows that are normalized, quantized, or both, as by the two operators of ONNX Runtime. Everything here is in an unnamed
// namespace; see paths/path_kernels.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "quantize_rows.h"

namespace dino8 {
namespace {

// The numbers in which ONNX Runtime adds the squares, by AVX2 whatever else a processor has.
constexpr int64_t kSquareLanes = 8;
typedef float SquareFloats __attribute__((vector_size(kSquareLanes * sizeof(float))));
typedef double SquareDoubles __attribute__((vector_size(kSquareLanes * sizeof(double))));

// The mean of a row and the inverse of its standard deviation, √(variance + epsilon).
struct RowMoments {
  float mean, inverse;
};

// The moments of rows of `count` numbers that follow each other; sums of several rows do not wait for each other. Mean and squares
// are computed as ONNX Runtime computes them on processors with AVX2, so that the results are the same to the bit where `count` is
// a multiple of 16. layer_norm.h has a faster way.
template <int Rows>
inline void moments_of_rows(const float* x, int64_t count, float epsilon, RowMoments (&moments)[Rows]) {
  const int64_t whole = count / kSquareLanes * kSquareLanes;
  SquareFloats part;
  SquareDoubles doubles[Rows]{};
  for (int64_t at = 0; at < whole; at += kSquareLanes) {
#pragma GCC unroll 4
    for (int row = 0; row < Rows; row++) {
      std::memcpy(&part, x + row * count + at, sizeof part);
      doubles[row] += __builtin_convertvector(part, SquareDoubles);
    }
  }
  for (int row = 0; row < Rows; row++) {
    double sum = 0;
    for (int64_t lane = 0; lane < kSquareLanes; lane++) sum += doubles[row][lane];
    for (int64_t at = whole; at < count; at++) sum += static_cast<double>(x[row * count + at]);
    moments[row].mean = static_cast<float>(sum / static_cast<double>(count));
  }

  SquareFloats lanes[Rows]{};
  for (int64_t at = 0; at < whole; at += kSquareLanes) {
#pragma GCC unroll 4
    for (int row = 0; row < Rows; row++) {
      std::memcpy(&part, x + row * count + at, sizeof part);
      const SquareFloats difference = part - moments[row].mean;
      lanes[row] += difference * difference;
    }
  }
  for (int row = 0; row < Rows; row++) {
    float squares[kSquareLanes];
    std::memcpy(squares, &lanes[row], sizeof squares);
    for (int64_t half = kSquareLanes / 2; half > 0; half /= 2)
      for (int64_t lane = 0; lane < half; lane++) squares[lane] += squares[lane + half];
    for (int64_t at = whole; at < count; at++) {
      const float difference = x[row * count + at] - moments[row].mean;
      squares[0] += difference * difference;
    }
    moments[row].inverse = 1 / std::sqrt(squares[0] / static_cast<float>(count) + epsilon);
  }
}

// y = LayerNormalization(x) over `count` numbers, with the moments of ONNX Runtime, for rows [Rows, count]; y may be x.
template <int Rows>
inline void normalize_rows_as_runtime(const float* x, int64_t count, const float* scale, const float* bias, float epsilon,
                                      float* y) {
  RowMoments moments[Rows];
  moments_of_rows(x, count, epsilon, moments);
  for (int row = 0; row < Rows; row++, x += count, y += count) {
    const auto [mean, inverse] = moments[row];
    int64_t at = 0;
    for (; at + kFloatLanes <= count; at += kFloatLanes)
      store_floats(y + at, (load_floats(x + at) - mean) * inverse * load_floats(scale + at) + load_floats(bias + at));
    for (; at < count; at++) y[at] = (x[at] - mean) * inverse * scale[at] + bias[at];
  }
}

inline void normalize_as_runtime(const float* x, int64_t count, const float* scale, const float* bias, float epsilon, float* y) {
  normalize_rows_as_runtime<1>(x, count, scale, bias, epsilon, y);
}

// The same, and the bytes of the rows, by quotients as ONNX Runtime computes them, whose rows are `stride` bytes apart.
template <int Rows>
inline void normalize_rows_to_bytes(const float* x, int64_t count, const float* scale, const float* bias, float epsilon,
                                    ByteRange range, float* y, uint8_t* bytes, int64_t stride) {
  RowMoments moments[Rows];
  moments_of_rows(x, count, epsilon, moments);
  const float zero_point = static_cast<float>(range.zero_point);
  for (int row = 0; row < Rows; row++, x += count, y += count, bytes += stride) {
    const auto [mean, inverse] = moments[row];
    int64_t at = 0;
    for (; at + 16 <= count; at += 16) {
      IntVector sixteen[16 / kFloatLanes];
      for (int64_t lane = 0; lane < 16; lane += kFloatLanes) {
        const int64_t place = at + lane;
        const FloatVector result =
            (load_floats(x + place) - mean) * inverse * load_floats(scale + place) + load_floats(bias + place);
        store_floats(y + place, result);
        sixteen[lane / kFloatLanes] = to_byte(result / range.scale, 1, zero_point);
      }
      store_bytes(bytes + at, sixteen);
    }
    for (; at < count; at++) {
      y[at] = (x[at] - mean) * inverse * scale[at] + bias[at];
      bytes[at] = to_byte(y[at] / range.scale, 1, zero_point);
    }
  }
}

// QuantizeLinear of `count` numbers, by such quotients.
inline void quantize_as_runtime(const float* from, int64_t count, ByteRange range, uint8_t* to) {
  const float zero_point = static_cast<float>(range.zero_point);
  int64_t at = 0;
  for (; at + 16 <= count; at += 16) {
    IntVector sixteen[16 / kFloatLanes];
    for (int64_t lane = 0; lane < 16; lane += kFloatLanes)
      sixteen[lane / kFloatLanes] = to_byte(load_floats(from + at + lane) / range.scale, 1, zero_point);
    store_bytes(to + at, sixteen);
  }
  for (; at < count; at++) to[at] = to_byte(from[at] / range.scale, 1, zero_point);
}

}  // namespace
}  // namespace dino8
