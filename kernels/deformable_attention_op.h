#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::MultiScaleDeformableAttention, for float, uint8 and int8 values.
OrtStatus* add_deformable_attention(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
