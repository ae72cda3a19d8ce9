#include "tensor.h"

#include <algorithm>
#include <cstdlib>

#include "../cache_line.h"

namespace dino8::engine {

size_t bytes_of(Element element) {
  switch (element) {
    case Element::kFloat:
    case Element::kInt32:
      return 4;
    case Element::kInt64:
      return 8;
    case Element::kUint8:
    case Element::kInt8:
    case Element::kBool:
      return 1;
  }
  return 0;
}

bool Shape::operator==(const Shape& other) const {
  return rank == other.rank && std::equal(dims, dims + rank, other.dims);
}

bool is_possible(const Shape& shape, Element element) {
  if (shape.rank > kMaxRank) return false;
  int64_t bytes = static_cast<int64_t>(bytes_of(element));
  if (bytes == 0) return false;
  for (size_t axis = 0; axis < shape.rank; axis++) {
    const int64_t size = shape.dims[axis];
    if (size < 0 || size > kMaxBytes) return false;
    if (size > 0) bytes *= size;  // both are at most 2^31
    if (bytes > kMaxBytes) return false;
  }
  return true;
}

std::shared_ptr<char> allocate(int64_t bytes) {
  constexpr size_t kLine = sizeof(CacheLine);
  const size_t whole = (static_cast<size_t>(bytes) / kLine + 1) * kLine;
  void* memory = std::aligned_alloc(kLine, whole);
  if (memory == nullptr) return nullptr;
  return {static_cast<char*>(memory), [](char* taken) { std::free(taken); }};
}

}  // namespace dino8::engine
