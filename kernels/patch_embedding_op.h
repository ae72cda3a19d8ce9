// The custom operator of the embedding of patches.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::PatchEmbedding.
OrtStatus* add_patch_embedding(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
