// The custom operators of deformable attention and of its gradient.
#pragma once

#include "deformable_attention.h"
#include "op_tensor.h"

namespace dino8 {

// The inputs of the operator. Its gradient has the same inputs and then the gradient of the output.
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

// Fills in `a` from the inputs; the caller has set `a.value_type`. Returns null, or the sentence that says which shapes
// contradict each other. If it returns null, the kernels read nothing outside of the tensors.
const char* describe_attention(const InputTensor (&in)[kAttentionInputs], DeformableAttention& a);

// Adds the operator ai.dino8::MultiScaleDeformableAttention, for float, uint8 and int8 values.
OrtStatus* add_deformable_attention(const OrtApi& api, OrtCustomOpDomain* domain);

// Adds its gradient with respect to values, offsets and logits, for float values.
OrtStatus* add_deformable_attention_gradient(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
