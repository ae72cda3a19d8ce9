// The custom operators of sine embeddings.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::SineEmbedding and SineEmbeddingQuantized.
OrtStatus* add_sine_embedding(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
