// The custom operators of attention of several heads.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::MultiHeadAttention and MultiHeadAttentionQuantized.
OrtStatus* add_multi_head_attention(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
