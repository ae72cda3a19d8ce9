// Group normalization (Wu and He 2018, https://arxiv.org/abs/1803.08494) of bytes whose channels lie side by side.
#pragma once

#include <cstdint>

namespace dino8 {

// So many rows at most are added at once, so that the sums of their squares, of up to 255², fit into 32 bits.
constexpr int64_t kMostSummedRows = 1 << 14;

struct GroupNormKernels {
  // Sets `sums` and `squares` [channels] to the sums of the bytes and of their squares over at most kMostSummedRows rows.
  void (*sum)(const uint8_t* rows, int64_t count, int64_t channels, int32_t* sums, int32_t* squares);
  // Computes y = byte · factor + offset, both [channels], for `count` rows.
  void (*apply)(const uint8_t* rows, int64_t count, int64_t channels, const float* factors, const float* offsets, float* y);
};

}  // namespace dino8
