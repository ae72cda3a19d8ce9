// The operators whose names end with Quantized: they have the inputs of the operator that is named before, then scale and
// zero point of their first result, which is bytes. The same result in float is the second output, for nodes that read
// floats; other results follow.
#pragma once

#include "cpu_operator.h"
#include "packed_weight.h"

namespace dino8 {

// The output that is the result in float beside the bytes.
constexpr int kFloatsBesideBytes = 1;

// The outputs of a kernel. Where there are no bytes, the floats are the first output.
struct Results {
  float* floats = nullptr;   // null if nobody reads them
  uint8_t* bytes = nullptr;  // null if the operator has none
  ByteRange range;           // of the bytes
};

// Returns null, or the sentence that says what is wrong with the scale and zero point.
inline const char* read_range(const InputTensor& scale, const InputTensor& zero_point, ByteRange& range) {
  if (scale.count() != 1 || zero_point.count() != 1)
    return "a dino8 operator: the scale or zero point of a tensor is not one number";
  range.scale = *static_cast<const float*>(scale.data);
  range.zero_point = *static_cast<const uint8_t*>(zero_point.data);
  return range.scale > 0 ? nullptr : "a dino8 operator: the scale of a tensor is not above 0";
}

// Allocates the outputs. `range` is the scale and zero point of the bytes, or null if the operator has none.
inline OrtStatus* make_results(const OrtApi& api, OrtKernelContext* context, const InputTensor* range,
                               const int64_t* dims, size_t rank, Results& out) {
  if (range == nullptr) return make_output(api, context, 0, dims, rank, &out.floats);
  if (const char* problem = read_range(range[0], range[1], out.range))
    return api.createStatus(kInvalidArgument, problem);
  if (OrtStatus* status = make_output(api, context, 0, dims, rank, &out.bytes)) return status;
  return make_optional_output(api, context, kFloatsBesideBytes, dims, rank, &out.floats);
}

// Describes the outputs of an operator whose name ends with Quantized and that has one result.
inline void describe_quantized(OrtCustomOp& op) {
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 2; };
  op.GetOutputType = [](const OrtCustomOp*, size_t index) { return index == 0 ? kUint8Element : kFloatElement; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t index) { return index == kFloatsBesideBytes ? kOptional : kRequired; };
}

}  // namespace dino8
