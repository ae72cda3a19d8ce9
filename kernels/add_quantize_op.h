// The custom operator that quantizes a sum.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::AddQuantized.
OrtStatus* add_add_quantized(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
