// The custom operator of group normalization.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::GroupNormLevels.
OrtStatus* add_group_norm(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
