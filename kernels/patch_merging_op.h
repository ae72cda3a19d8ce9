// The custom operator of the merging of patches.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::PatchMerging.
OrtStatus* add_patch_merging(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
