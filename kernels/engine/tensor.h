// Tensors of the engine that runs a model in WebAssembly, where there is no ONNX Runtime that our operators could be added to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace dino8::engine {

// The types of elements, by the numbers that ONNX gives them (TensorProto.DataType).
enum class Element : int32_t { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7, kBool = 9 };

// The bytes of an element; 0 for a number that is none of the types above.
size_t bytes_of(Element element);

// More dimensions than that are refused.
constexpr size_t kMaxRank = 8;

// The most bytes of a tensor: half of what 32 bits can address.
constexpr int64_t kMaxBytes = int64_t{1} << 31;

// The dimensions of a tensor, none of which is negative.
struct Shape {
  size_t rank = 0;
  int64_t dims[kMaxRank] = {};

  int64_t count() const { return count(0, rank); }
  // The product of the dimensions from `begin` to before `end`. That of any part of a checked shape fits.
  int64_t count(size_t begin, size_t end) const {
    int64_t product = 1;
    for (size_t axis = begin; axis < end; axis++) product *= dims[axis];
    return product;
  }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }
};

// True if the dimensions are not negative, and the product of those that are not 0 makes a tensor of at most kMaxBytes bytes.
bool is_possible(const Shape& shape, Element element);

// An array of elements, in rows. Tensors may share their memory, which nobody writes to once it is filled in.
struct Tensor {
  Element element = Element::kFloat;
  Shape shape;
  std::shared_ptr<char> memory;

  template <class Number>
  const Number* data() const {
    return reinterpret_cast<const Number*>(memory.get());
  }
  template <class Number>
  Number* data() {
    return reinterpret_cast<Number*>(memory.get());
  }
};

// Memory that begins at a cache line and is not initialised; null if there is not enough.
std::shared_ptr<char> allocate(int64_t bytes);

}  // namespace dino8::engine
