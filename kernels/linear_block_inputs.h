// The inputs of a block of linear layers beside its layers.
#pragma once

#include "cpu_operator.h"
#include "linear_block.h"

namespace dino8 {

// Reads the residual. Returns null, or the sentence that says what does not fit.
inline const char* read_residual(const InputTensor& residual, int64_t columns, LinearBlock& block) {
  if (residual.rank < 1 || residual.dims[residual.rank - 1] != columns)
    return "a dino8 operator: the residual has rows of another size than the result";
  block.residual = static_cast<const float*>(residual.data);
  return nullptr;
}

// Reads scale and bias of the normalization. Returns null, or the sentence that says what does not fit.
inline const char* read_norm(const InputTensor* norm, int64_t columns, LinearBlock& block) {
  if (norm[0].count() != columns || norm[1].count() != columns)
    return "a dino8 operator: scale or bias of the normalization have another size than a row";
  block.norm_scale = static_cast<const float*>(norm[0].data);
  block.norm_bias = static_cast<const float*>(norm[1].data);
  return nullptr;
}

}  // namespace dino8
