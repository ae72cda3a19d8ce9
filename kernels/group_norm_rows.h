// The two passes of group normalization over rows of bytes. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <cstdint>

#include "float_vector.h"
#include "group_norm.h"

namespace dino8 {
namespace {

// Adds up `Vectors` vectors of channels; see `GroupNormKernels`.
template <int Vectors>
inline void sum_vectors(const uint8_t* rows, int64_t count, int64_t channels, int32_t* sums, int32_t* squares) {
  IntVector sum[Vectors] = {}, square[Vectors] = {};
  for (int64_t row = 0; row < count; row++, rows += channels) {
#pragma GCC unroll 4
    for (int at = 0; at < Vectors; at++) {
      const IntVector bytes = load_bytes(rows + at * kFloatLanes);
      sum[at] += bytes, square[at] += bytes * bytes;
    }
  }
  for (int at = 0; at < Vectors; at++)
    store_ints(sums + at * kFloatLanes, sum[at]), store_ints(squares + at * kFloatLanes, square[at]);
}

void group_norm_sum(const uint8_t* rows, int64_t count, int64_t channels, int32_t* sums, int32_t* squares) {
  int64_t channel = 0;
  for (; channel + 4 * kFloatLanes <= channels; channel += 4 * kFloatLanes)
    sum_vectors<4>(rows + channel, count, channels, sums + channel, squares + channel);
  for (; channel + kFloatLanes <= channels; channel += kFloatLanes)
    sum_vectors<1>(rows + channel, count, channels, sums + channel, squares + channel);
  for (; channel < channels; channel++) {
    sums[channel] = squares[channel] = 0;
    for (int64_t row = 0; row < count; row++) {
      const int32_t byte = rows[row * channels + channel];
      sums[channel] += byte, squares[channel] += byte * byte;
    }
  }
}

void group_norm_apply(const uint8_t* rows, int64_t count, int64_t channels, const float* factors, const float* offsets,
                      float* y) {
  for (int64_t row = 0; row < count; row++, rows += channels, y += channels) {
    int64_t at = 0;
    for (; at + kFloatLanes <= channels; at += kFloatLanes)
      store_floats(y + at, multiply_add(to_floats(load_bytes(rows + at)), load_floats(factors + at), load_floats(offsets + at)));
    for (; at < channels; at++) y[at] = static_cast<float>(rows[at]) * factors[at] + offsets[at];
  }
}

}  // namespace
}  // namespace dino8
