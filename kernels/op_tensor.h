// The inputs and outputs of a kernel as plain pointers and dimensions.
#pragma once

#include "ort_abi.h"

namespace dino8 {

constexpr size_t kMaxDimensions = 8;

struct InputTensor {
  const void* data = nullptr;
  size_t rank = 0;
  int64_t dims[kMaxDimensions] = {};

  int64_t count() const {
    int64_t product = 1;
    for (size_t axis = 0; axis < rank; axis++) product *= dims[axis];
    return product;
  }
};

// Fills in `out` with the data and the dimensions of a tensor, which keeps its data.
inline OrtStatus* read_tensor(const OrtApi& api, const OrtValue* value, InputTensor& out) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  void* data = nullptr;
  if (OrtStatus* status = api.tensorData(const_cast<OrtValue*>(value), &data)) return status;
  if (OrtStatus* status = api.typeAndShape(value, &info)) return status;
  OrtStatus* status = api.dimensionsCount(info, &out.rank);
  if (!status && out.rank > kMaxDimensions)
    status = api.createStatus(kInvalidArgument, "an input of a dino8 operator has too many dimensions");
  if (!status) status = api.dimensions(info, out.dims, out.rank);
  api.releaseTypeAndShape(info);
  out.data = data;
  return status;
}

// Fills in `out` with an input of a run. The data belongs to ONNX Runtime.
inline OrtStatus* read_input(const OrtApi& api, const OrtKernelContext* context, size_t index, InputTensor& out) {
  const OrtValue* value = nullptr;
  if (OrtStatus* status = api.input(context, index, &value)) return status;
  return read_tensor(api, value, out);
}

// Fills in `out` with an input that is a constant of the model; `out.data` stays null if it is none.
inline OrtStatus* read_constant(const OrtApi& api, const OrtKernelInfo* node, size_t index, InputTensor& out) {
  const OrtValue* value = nullptr;
  int is_constant = 0;
  if (OrtStatus* status = api.constantInput(node, index, &is_constant, &value)) return status;
  return is_constant != 0 && value != nullptr ? read_tensor(api, value, out) : nullptr;
}

// Allocates an output of the given dimensions and sets `out` to its data, or to null if nobody reads an optional output.
template <class Element>
OrtStatus* make_output(const OrtApi& api, OrtKernelContext* context, size_t index, const int64_t* dims, size_t rank,
                       Element** out) {
  OrtValue* value = nullptr;
  void* data = nullptr;
  if (OrtStatus* status = api.output(context, index, dims, rank, &value)) return status;
  *out = nullptr;
  if (value == nullptr) return nullptr;
  if (OrtStatus* status = api.tensorData(value, &data)) return status;
  *out = static_cast<Element*>(data);
  return nullptr;
}

}  // namespace dino8
