// Broadcasting: which elements of tensors of different shapes are combined (https://onnx.ai/onnx/repo-docs/Broadcasting.html).
#pragma once

#include <algorithm>
#include <cstdint>

#include "checks.h"

namespace dino8::engine {

// The result is read in rows. Along a row, an input either goes on from element to element (its step is 1) or repeats
// one element (its step is 0). Neighbouring dimensions in which every input does the same are one, so that tensors of
// equal shapes, or one with a scalar, make a single row.
template <size_t kInputs>
class Broadcast {
 public:
  // Null, or what is wrong with the shapes for a result of this type.
  Problem set(const Shape* const (&inputs)[kInputs], Element element) {
    shape_ = {};
    rank_ = 0;
    for (const Shape* input : inputs) shape_.rank = std::max(shape_.rank, input->rank);
    for (size_t axis = 0; axis < shape_.rank; axis++) {
      int64_t& size = shape_.dims[axis];
      size = 1;
      for (const Shape* input : inputs) {
        const int64_t other = size_of(*input, axis);
        if (other == 1) continue;
        if (size != 1 && size != other) return kWrongShape;
        size = other;
      }
    }
    if (!is_possible(shape_, element)) return kTooLarge;
    count_ = shape_.count();
    if (count_ > 0) merge(inputs);
    return nullptr;
  }

  const Shape& shape() const { return shape_; }
  int64_t count() const { return count_; }
  // The step of an input along a row, 0 or 1.
  int64_t step(size_t input) const { return strides_[input][0]; }

  // Calls `row(offsets, at, count)` for the pieces of rows that make up the elements from `begin` to before `end` of
  // the result: the piece at `at` takes its elements from those of each input that begin at `offsets[input]`.
  template <class Row>
  void for_rows(int64_t begin, int64_t end, const Row& row) const {
    int64_t index[kMaxRank], offsets[kInputs] = {}, rest = begin;
    for (size_t axis = 0; axis < rank_; rest /= dims_[axis++]) {
      index[axis] = rest % dims_[axis];
      move(offsets, axis, index[axis]);
    }
    for (int64_t at = begin; at < end;) {
      const int64_t count = std::min(dims_[0] - index[0], end - at);
      row(static_cast<const int64_t*>(offsets), at, count);
      at += count;
      move(offsets, 0, -index[0]);
      index[0] = 0;
      for (size_t axis = 1; axis < rank_; axis++) {
        move(offsets, axis, 1);
        if (++index[axis] < dims_[axis]) break;
        move(offsets, axis, -dims_[axis]);
        index[axis] = 0;
      }
    }
  }

 private:
  // The dimension of an input that meets one of the result.
  int64_t size_of(const Shape& input, size_t axis) const {
    const size_t missing = shape_.rank - input.rank;
    return axis < missing ? 1 : input.dims[axis - missing];
  }

  void move(int64_t (&offsets)[kInputs], size_t axis, int64_t steps) const {
    for (size_t input = 0; input < kInputs; input++) offsets[input] += steps * strides_[input][axis];
  }

  void merge(const Shape* const (&inputs)[kInputs]) {
    int64_t before[kInputs];  // the elements of an input in the dimensions so far
    std::fill_n(before, kInputs, 1);
    for (size_t axis = shape_.rank; axis-- > 0;) {
      const int64_t size = shape_.dims[axis];
      if (size == 1) continue;
      bool is_same = rank_ > 0;
      int64_t strides[kInputs];
      for (size_t input = 0; input < kInputs; input++) {
        const int64_t own = size_of(*inputs[input], axis);
        strides[input] = own == 1 ? 0 : before[input];
        before[input] *= own;
        is_same = is_same && strides[input] == strides_[input][rank_ - 1] * dims_[rank_ - 1];
      }
      if (is_same) dims_[rank_ - 1] *= size;
      else
        add(size, strides);
    }
    if (rank_ > 0) return;
    int64_t strides[kInputs];
    std::fill_n(strides, kInputs, 1);
    add(1, strides);
  }

  void add(int64_t size, const int64_t (&strides)[kInputs]) {
    dims_[rank_] = size;
    for (size_t input = 0; input < kInputs; input++) strides_[input][rank_] = strides[input];
    rank_++;
  }

  Shape shape_;
  int64_t count_ = 0;
  // The merged dimensions, the last one first, and the strides of the inputs in them.
  size_t rank_ = 0;
  int64_t dims_[kMaxRank] = {};
  int64_t strides_[kInputs][kMaxRank] = {};
};

}  // namespace dino8::engine
