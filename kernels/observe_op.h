// The custom operator that calibration uses.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::Observe.
OrtStatus* add_observe(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
