// The custom operators of fused feed-forward blocks.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::FeedForward and ai.dino8::FeedForwardGelu.
OrtStatus* add_feed_forward(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
