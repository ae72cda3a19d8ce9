// The custom operator of attention within windows.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::WindowAttention.
OrtStatus* add_window_attention(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
