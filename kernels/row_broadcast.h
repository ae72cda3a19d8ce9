// The rows of two tensors of different shapes that are added by broadcasting.
#pragma once

#include <algorithm>

#include "op_tensor.h"

namespace dino8 {

// The shape of the sum of two tensors (https://onnx.ai/onnx/repo-docs/Broadcasting.html), and which of their rows meet.
struct RowBroadcast {
  size_t rank = 0;
  int64_t dims[kMaxDimensions] = {};
  int64_t strides[2][kMaxDimensions] = {};  // of the rows of the two tensors, 0 where a dimension is repeated

  // False if the shapes do not fit. The last dimensions are equal.
  bool set(const InputTensor (&parts)[2]) {
    rank = std::max(parts[0].rank, parts[1].rank);
    const auto size = [&](int part, size_t axis) {
      const size_t back = rank - axis;
      return back <= parts[part].rank ? parts[part].dims[parts[part].rank - back] : 1;
    };
    for (size_t axis = 0; axis < rank; axis++) {
      const int64_t first = size(0, axis), second = size(1, axis);
      if (first != second && first != 1 && second != 1) return false;
      dims[axis] = first == 1 ? second : first;
    }
    // Without rows, the dimensions beside the 0 may be so large that strides overflow.
    if (has_zero(dims, rank)) return true;
    for (int part = 0; part < 2; part++) {
      int64_t rows = 1;
      for (size_t axis = rank - 1; axis-- > 0; rows *= size(part, axis))
        strides[part][axis] = size(part, axis) == 1 ? 0 : rows;
    }
    return true;
  }

  // Allocate a tensor of these dimensions before: their product may overflow where there is no memory for it.
  int64_t rows() const { return product_of(dims, rank > 0 ? rank - 1 : 0); }

  // The row of a part that is in row `row` of the sum.
  int64_t row_of(int part, int64_t row) const {
    int64_t index = 0;
    for (size_t axis = rank - 1; axis-- > 0; row /= dims[axis]) index += row % dims[axis] * strides[part][axis];
    return index;
  }
};

}  // namespace dino8
