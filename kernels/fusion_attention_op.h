// The custom operators of attention between an image and a text.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::FusionAttention, NormFusionAttentionAdd, NormFusionAttentionAddQuantized,
// NormFusionAttentionAddQuantizedAndSum and NormFusionAttentionAddQuantizedAndGatheredSum.
OrtStatus* add_fusion_attention(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
