#pragma once

#include "deformable_attention.h"
#include "op_tensor.h"

namespace dino8 {

// The inputs of the operator, and the first ones of its gradient's.
enum AttentionInput {
  kValue,
  kValueScale,
  kValueZeroPoint,
  kSpatialShapes,
  kReferencePoints,
  kOffsetScale,
  kSamplingOffsets,
  kAttentionLogits,
  kAttentionInputs
};

// Fills in what the inputs say, for values of the type that is set. Null if the shapes agree; otherwise what is wrong.
// Nothing outside of the tensors is read after this.
const char* describe_attention(const InputTensor (&in)[kAttentionInputs], DeformableAttention& a);

// Adds the operator ai.dino8::MultiScaleDeformableAttention, for float, uint8 and int8 values.
OrtStatus* add_deformable_attention(const OrtApi& api, OrtCustomOpDomain* domain);

// Adds its gradient by values, offsets and logits, for float values.
OrtStatus* add_deformable_attention_gradient(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
