// Axes that a model names, and tensors around them.
#pragma once

#include <cstdint>

#include "../operator.h"

namespace dino8::engine {

constexpr Problem kWrongAxis = "an axis is outside of the dimensions of its input";

// Turns an axis from −rank to rank − 1 into one from 0.
inline Problem resolve_axis(int64_t axis, size_t rank, size_t& out) {
  const int64_t size = static_cast<int64_t>(rank);
  if (axis < -size || axis >= size) return kWrongAxis;
  out = static_cast<size_t>(axis < 0 ? axis + size : axis);
  return nullptr;
}

// The integer of a tensor of one int32 or int64.
inline Problem read_integer(const Tensor& tensor, int64_t& out) {
  if (tensor.shape.count() != 1) return "an input that should be one number has several or none";
  if (tensor.element == Element::kInt64) out = *tensor.data<int64_t>();
  else if (tensor.element == Element::kInt32) out = *tensor.data<int32_t>();
  else return kWrongType;
  return nullptr;
}

// A tensor as [outer, size, inner] around one of its axes.
struct AroundAxis {
  int64_t outer, size, inner;
};

inline AroundAxis around_axis(const Shape& shape, size_t axis) {
  return {shape.count(0, axis), shape.dims[axis], shape.count(axis + 1, shape.rank)};
}

}  // namespace dino8::engine
