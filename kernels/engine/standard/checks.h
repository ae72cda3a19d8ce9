// Checks of what a model gives an operator that moves elements or multiplies matrices.
#pragma once

#include <vector>

#include "axes.h"

namespace dino8::engine {

constexpr Problem kTooLarge = "an output would be too large";
constexpr Problem kTooManyDimensions = "a tensor has more dimensions than are supported";
constexpr Problem kRepeatedAxis = "an axis is named twice";
constexpr Problem kWrongIndex = "an index is outside of its dimension";
constexpr Problem kNegativeSize = "a size is negative";
constexpr Problem kNotIntegers = "an input that must be a list of integers is none";

// Turns an index that may count from the end, if it is negative, into one from 0; false if it is outside of `size`.
inline bool find_index(int64_t& index, int64_t size) {
  if (index < 0) index += size;
  return index >= 0 && index < size;
}

// A list of integers of a model: an input or an attribute.
class IntegerList {
 public:
  IntegerList() = default;
  explicit IntegerList(const std::vector<int64_t>& values) : wide_(values.data()), count_(values.size()) {}

  // Takes the elements of a tensor of int64 or int32 that has at most one dimension.
  Problem read(const Tensor& tensor) {
    if (tensor.shape.rank > 1) return kNotIntegers;
    return read_all(tensor);
  }
  // Takes the elements of a tensor of int64 or int32 with any number of dimensions.
  Problem read_all(const Tensor& tensor) {
    wide_ = nullptr;
    narrow_ = nullptr;
    count_ = static_cast<size_t>(tensor.shape.count());
    if (tensor.element == Element::kInt64)
      wide_ = tensor.data<int64_t>();
    else if (tensor.element == Element::kInt32)
      narrow_ = tensor.data<int32_t>();
    else
      return kNotIntegers;
    return nullptr;
  }

  size_t count() const { return count_; }
  int64_t operator[](size_t at) const { return narrow_ == nullptr ? wide_[at] : narrow_[at]; }

 private:
  const int64_t* wide_ = nullptr;
  const int32_t* narrow_ = nullptr;
  size_t count_ = 0;
};

// Makes an output of any dimensions, or says that they are too large.
inline Problem make_checked_output(Run& run, size_t index, Element element, const Shape& shape, Tensor*& out) {
  if (!is_possible(shape, element)) return kTooLarge;
  return run.make_output(index, element, shape, out);
}

// Sets an output to the elements of `value` in other dimensions, of which there must be as many. Shares the memory.
inline void set_reshaped_output(Run& run, size_t index, const Tensor& value, const Shape& shape) {
  Tensor reshaped = value;
  reshaped.shape = shape;
  run.set_output(index, std::move(reshaped));
}

}  // namespace dino8::engine
