// The custom operators of fake quantization and of its gradient.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operators ai.dino8::FakeQuantize and ai.dino8::FakeQuantizeGradient.
OrtStatus* add_fake_quantize(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
