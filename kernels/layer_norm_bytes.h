// Layer normalization of rows whose results are bytes. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include "layer_norm.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// The constants of a layer normalization and the numbers that its bytes stand for.
struct NormToBytes {
  int64_t count;  // numbers in a row, a multiple of 16
  const float* scale;
  const float* bias;
  float epsilon;
  ByteRange range;
};

// So many rows are normalized together.
constexpr int kNormRowsToBytes = 8;

// Sets the rows `to` to the bytes of LayerNormalization(x), as layer_norms and quantize_row compute them.
template <int Rows>
inline void normalize_to_bytes(const NormToBytes& norm, const float* const (&x)[Rows], uint8_t* const (&to)[Rows]) {
  const int64_t count = norm.count;
  const float *const scale = norm.scale, *const bias = norm.bias;
  const NormMoments<Rows> moments(x, count, norm.epsilon);
  const float inverse_step = 1 / norm.range.scale, zero_point = static_cast<float>(norm.range.zero_point);
  for (int row = 0; row < Rows; row++) {
    const float mean = moments.mean[row], inverse = moments.inverse[row];
    const float* const from = x[row];
    const auto result = [&](int64_t at) {
      return (load_floats(from + at) - mean) * inverse * load_floats(scale + at) + load_floats(bias + at);
    };
    take_vectors(count, [&](auto vectors, int64_t at) {
      FloatVector results[vectors];
      for (int64_t each = 0; each < vectors; each++) results[each] = result(at + each * kFloatLanes);
      store_as_bytes(to[row] + at, results, inverse_step, zero_point);
    });
  }
}

}  // namespace
}  // namespace dino8
