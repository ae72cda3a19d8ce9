// The inputs and outputs of a kernel as plain pointers and dimensions.
//
// A model may come from a stranger, so nothing about a tensor is believed before it is checked. What ONNX Runtime itself
// guarantees is the element type, and that the memory behind `data` holds the product of the dimensions.
#pragma once

#include <algorithm>

#include "ort_abi.h"

namespace dino8 {

constexpr size_t kMaxDimensions = 8;

inline bool has_zero(const int64_t* dims, size_t count) { return std::find(dims, dims + count, 0) != dims + count; }

// The product of dimensions of a tensor that is in memory, so that it fits. An empty tensor may have any other dimensions
// beside its 0, whose product would overflow.
inline int64_t product_of(const int64_t* dims, size_t count) {
  if (has_zero(dims, count)) return 0;
  int64_t product = 1;
  for (size_t axis = 0; axis < count; axis++) product *= dims[axis];
  return product;
}

struct InputTensor {
  const void* data = nullptr;
  size_t rank = 0;
  int64_t dims[kMaxDimensions] = {};

  int64_t count() const { return product_of(dims, rank); }
};

// Fills in `out` with the data and the dimensions of a tensor, which keeps its data.
inline OrtStatus* read_tensor(const OrtApi& api, const OrtValue* value, InputTensor& out) {
  const int64_t* dims = nullptr;
  void* data = nullptr;
  int element_type = 0;
  if (OrtStatus* status = api.tensorData(const_cast<OrtValue*>(value), &data)) return status;
  if (OrtStatus* status = api.shape(value, &element_type, &dims, &out.rank)) return status;
  if (out.rank > kMaxDimensions)
    return api.createStatus(kInvalidArgument, "an input of a dino8 operator has too many dimensions");
  std::copy(dims, dims + out.rank, out.dims);
  out.data = data;
  return nullptr;
}

// Fills in `out` with an input of a run. The data belongs to ONNX Runtime.
inline OrtStatus* read_input(const OrtApi& api, const OrtKernelContext* context, size_t index, InputTensor& out) {
  const OrtValue* value = nullptr;
  if (OrtStatus* status = api.input(context, index, &value)) return status;
  // A node may leave out an input by an empty name.
  if (value == nullptr) return api.createStatus(kInvalidArgument, "an input of a dino8 operator is missing");
  return read_tensor(api, value, out);
}

// Fills in `out` with an input that is a constant of the model; `out.data` stays null if it is none.
inline OrtStatus* read_constant(const OrtApi& api, const OrtKernelInfo* node, size_t index, InputTensor& out) {
  const OrtValue* value = nullptr;
  int is_constant = 0;
  if (OrtStatus* status = api.constantInput(node, index, &is_constant, &value)) return status;
  return is_constant != 0 && value != nullptr ? read_tensor(api, value, out) : nullptr;
}

// Allocates an output of the given dimensions and sets `out` to its data, or to null if nobody reads it.
template <class Element>
OrtStatus* make_optional_output(const OrtApi& api, OrtKernelContext* context, size_t index, const int64_t* dims,
                                size_t rank, Element** out, bool is_required = false) {
  OrtValue* value = nullptr;
  void* data = nullptr;
  if (OrtStatus* status = api.output(context, index, dims, rank, &value)) return status;
  *out = nullptr;
  if (value == nullptr && is_required)
    return api.createStatus(kInvalidArgument, "an output of a dino8 operator is missing");
  if (value == nullptr) return nullptr;
  if (OrtStatus* status = api.tensorData(value, &data)) return status;
  *out = static_cast<Element*>(data);
  return nullptr;
}

// The same for an output that the kernel always writes. A node may leave it out by an empty name, which is refused.
template <class Element>
OrtStatus* make_output(const OrtApi& api, OrtKernelContext* context, size_t index, const int64_t* dims, size_t rank,
                       Element** out) {
  return make_optional_output(api, context, index, dims, rank, out, true);
}

}  // namespace dino8
