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
    int64_t rows[2] = {1, 1};
    for (size_t back = 1; back <= rank; back++) {
      const size_t axis = rank - back;
      int64_t sizes[2];
      for (int part = 0; part < 2; part++)
        sizes[part] = back <= parts[part].rank ? parts[part].dims[parts[part].rank - back] : 1;
      if (sizes[0] != sizes[1] && sizes[0] != 1 && sizes[1] != 1) return false;
      dims[axis] = sizes[0] == 1 ? sizes[1] : sizes[0];
      if (back == 1) continue;
      for (int part = 0; part < 2; part++) {
        strides[part][axis] = sizes[part] == 1 ? 0 : rows[part];
        rows[part] *= sizes[part];
      }
    }
    return true;
  }

  int64_t rows() const {
    int64_t product = 1;
    for (size_t axis = 0; axis + 1 < rank; axis++) product *= dims[axis];
    return product;
  }

  // The row of a part that is in row `row` of the sum.
  int64_t row_of(int part, int64_t row) const {
    int64_t index = 0;
    for (size_t axis = rank - 1; axis-- > 0; row /= dims[axis]) index += row % dims[axis] * strides[part][axis];
    return index;
  }
};

}  // namespace dino8
