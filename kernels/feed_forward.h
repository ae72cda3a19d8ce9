// A fused feed-forward block: quantize, linear layer, activation function, quantize, linear layer.
#pragma once

#include "packed_weight.h"

namespace dino8 {

// The affine map of bytes: a byte q stands for (q − zero_point) · scale.
struct ByteRange {
  float scale = 1;
  int32_t zero_point = 0;
};

enum class Activation { kNone, kGelu };

struct FeedForward {
  PackedLayer first, second;
  ByteRange input, hidden;
  Activation activation = Activation::kNone;
  const float* x = nullptr;  // [rows, first.depth]
  float* y = nullptr;        // [rows, second.columns]
};

// Computes the rows from `begin` to before `end`.
using FeedForwardRows = void (*)(const FeedForward&, int64_t begin, int64_t end);

}  // namespace dino8
