// The merging of patches between the stages of a Swin Transformer (Liu et al. 2021, https://arxiv.org/abs/2103.14030, section
// 3.1): the numbers of four neighbours side by side, a layer normalization, and a linear layer on bytes.
#pragma once

#include "packed_weight.h"

namespace dino8 {

struct PatchMerging {
  const float* x = nullptr;  // [batch, height, width, channels]
  int64_t batch = 0, height = 0, width = 0, channels = 0;
  const float* norm_scale = nullptr;  // [4 · channels]
  const float* norm_bias = nullptr;   // [4 · channels]
  float norm_epsilon = 0;
  ByteRange input;  // of the bytes that the layer reads
  PackedLayer layer;
  float* y = nullptr;  // [batch, rows(), columns(), layer.columns]

  // A map of an odd size has zeros behind its last row or column.
  int64_t rows() const { return height / 2 + height % 2; }
  int64_t columns() const { return width / 2 + width % 2; }
  int64_t positions() const { return batch * rows() * columns(); }
};

// Computes the positions of the result from `begin` to before `end`.
using PatchMergingRange = void (*)(const PatchMerging&, int64_t begin, int64_t end);

}  // namespace dino8
