// The dimensions of a product of tensors, as numpy.matmul has them: matrices in the last two dimensions, and batches before.
#pragma once

#include <algorithm>

#include "checks.h"

namespace dino8::engine {

class ProductShapes {
 public:
  Problem set(const Shape& a, const Shape& b) {
    if (a.rank == 0 || b.rank == 0) return kWrongShape;
    const bool a_is_row = a.rank == 1, b_is_column = b.rank == 1;
    rows = a_is_row ? 1 : a.dims[a.rank - 2];
    depth = a.dims[a.rank - 1];
    columns = b_is_column ? 1 : b.dims[b.rank - 1];
    if (depth != b.dims[b_is_column ? 0 : b.rank - 2]) return kWrongShape;
    const size_t a_axes = a_is_row ? 0 : a.rank - 2, b_axes = b_is_column ? 0 : b.rank - 2;
    axes_ = std::max(a_axes, b_axes);
    for (size_t axis = 0; axis < axes_; axis++) {
      const int64_t a_size = axis < axes_ - a_axes ? 1 : a.dims[axis - (axes_ - a_axes)];
      const int64_t b_size = axis < axes_ - b_axes ? 1 : b.dims[axis - (axes_ - b_axes)];
      if (a_size != b_size && a_size != 1 && b_size != 1) return kWrongShape;
      out.dims[axis] = a_size == 1 ? b_size : a_size;
      is_repeated_[0][axis] = a_size == 1;
      is_repeated_[1][axis] = b_size == 1;
    }
    out.rank = axes_;
    if (!a_is_row) out.dims[out.rank++] = rows;
    if (!b_is_column) out.dims[out.rank++] = columns;
    if (!is_possible(out, Element::kFloat)) return kTooLarge;
    batches = out.count(0, axes_);
    // If b has one matrix, the batches of a are rows of one matrix.
    if (b.count(0, b_axes) == 1 && batches > 0 && a.count(0, a_axes) == batches) {
      rows *= batches;
      batches = 1;
      axes_ = 0;
    }
    return nullptr;
  }

  // The number of the matrix of a that a batch multiplies, and that of b.
  int64_t matrix_of_a(int64_t batch) const { return matrix_of(batch, 0); }
  int64_t matrix_of_b(int64_t batch) const { return matrix_of(batch, 1); }

  Shape out;
  int64_t batches = 0, rows = 0, depth = 0, columns = 0;

 private:
  int64_t matrix_of(int64_t batch, size_t input) const {
    int64_t matrix = 0, stride = 1;
    for (size_t axis = axes_; axis-- > 0; batch /= out.dims[axis]) {
      if (is_repeated_[input][axis]) continue;
      matrix += batch % out.dims[axis] * stride;
      stride *= out.dims[axis];
    }
    return matrix;
  }

  size_t axes_ = 0;
  bool is_repeated_[2][kMaxRank] = {};
};

}  // namespace dino8::engine
