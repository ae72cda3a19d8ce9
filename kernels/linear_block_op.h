// The custom operators that are linear layers on bytes.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::FeedForward, IntegerLinear and their variants.
OrtStatus* add_linear_blocks(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
