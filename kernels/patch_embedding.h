// The embedding of the patches of an image at the beginning of a Swin Transformer (Liu et al. 2021,
// https://arxiv.org/abs/2103.14030, section 3.1): a linear layer on bytes of the numbers of a patch, and a layer normalization.
#pragma once

#include "packed_weight.h"

namespace dino8 {

struct PatchEmbedding {
  const float* x = nullptr;  // [batch, colours, height, width]
  int64_t batch = 0, colours = 0, height = 0, width = 0;
  int64_t patch = 0;  // the height and the width of a patch
  ByteRange input;    // of the bytes of the image
  PackedLayer layer;  // of [colours, patch, patch] numbers
  const float* norm_scale = nullptr;  // [layer.columns]
  const float* norm_bias = nullptr;   // [layer.columns]
  float norm_epsilon = 0;
  float* y = nullptr;  // [batch, rows(), columns(), layer.columns]

  // An image of another size than whole patches has zeros behind its last row or column.
  int64_t rows() const { return height / patch + (height % patch > 0 ? 1 : 0); }
  int64_t columns() const { return width / patch + (width % patch > 0 ? 1 : 0); }
  int64_t all_rows() const { return batch * rows(); }  // of patches, of all images
};

// Computes the rows of patches from `begin` to before `end`, of all images' rows.
using PatchEmbeddingRange = void (*)(const PatchEmbedding&, int64_t begin, int64_t end);

}  // namespace dino8
