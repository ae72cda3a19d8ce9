// Sine embeddings: sines and cosines of numbers divided by wavelengths, interleaved (Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762, section 3.5).
#pragma once

#include "packed_weight.h"

namespace dino8 {

struct SineEmbedding {
  const float* positions = nullptr;  // [rows]
  // The wavelength of each number of an embedding, filled up with ones to a multiple of 16.
  const float* wavelengths = nullptr;
  int64_t size = 0;  // of an embedding
  // Up to this magnitude of a position, all angles are small enough for the kernels' reduction.
  float most = 0;
  // [rows, size], as floats, as bytes, or both
  float* y = nullptr;
  uint8_t* y_bytes = nullptr;
  ByteRange y_range;
};

// Computes the embeddings of the positions from `begin` to before `end`.
using SineEmbeddingRows = void (*)(const SineEmbedding&, int64_t begin, int64_t end);

// The largest angle that the kernels reduce by themselves.
constexpr float kMostAngle = 8192;

}  // namespace dino8
