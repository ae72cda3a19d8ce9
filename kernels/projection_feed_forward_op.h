// The custom operators that are the end of a transformer's layer.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::ProjectionFeedForward and ai.dino8::ProjectionFeedForwardQuantized.
OrtStatus* add_projection_feed_forward(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
