// The custom operators of deformable attention whose offsets and logits are results of linear layers.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::ProjectedDeformableAttention and ProjectedDeformableAttentionQuantized, for values in bytes.
OrtStatus* add_projected_deformable_attention(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
