#pragma once

#include "ort_abi.h"

namespace dino8 {

// The operator ai.dino8::MultiScaleDeformableAttention for float values.
const OrtCustomOp* deformable_attention_op();

}  // namespace dino8
