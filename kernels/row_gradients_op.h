// The custom operators for the gradients of layer normalization and softmax.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::LayerNormalizationGradient and ai.dino8::SoftmaxGradient.
OrtStatus* add_row_gradients(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
