// The copy that transposes, slices, joins, pads and repeats tensors: a box of elements, whose neighbours along each axis lie
// some distance apart in the memory that is read, and another one in the memory that is written.
#pragma once

#include <cstring>

#include "../operator.h"

namespace dino8::engine {

// A box of elements. All distances are in elements.
struct StridedCopy {
  static constexpr size_t kMaxAxes = 2 * kMaxRank;

  size_t rank = 0;
  int64_t counts[kMaxAxes] = {};
  int64_t from[kMaxAxes] = {};  // may be 0 or negative
  int64_t to[kMaxAxes] = {};

  void add_axis(int64_t count, int64_t from_stride, int64_t to_stride) {
    counts[rank] = count;
    from[rank] = from_stride;
    to[rank] = to_stride;
    rank++;
  }
};

// The distance between neighbours along each axis of a tensor in rows.
struct Strides {
  int64_t of[kMaxRank];

  explicit Strides(const Shape& shape) {
    int64_t stride = 1;
    for (size_t axis = shape.rank; axis-- > 0; stride *= shape.dims[axis]) of[axis] = stride;
  }
};

// Copies elements of `bytes` bytes (1, 4 or 8), on all threads.
void copy_strided(Run& run, StridedCopy copy, const char* from, char* to, size_t bytes);

// Copies bytes that do not overlap; faster than memcpy for the few bytes of a row.
inline void copy_bytes(char* to, const char* from, int64_t bytes) {
  typedef char Vector __attribute__((vector_size(16)));
  constexpr int64_t kSize = sizeof(Vector), kFew = 1024;
  if (bytes > kFew) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    return;
  }
  int64_t at = 0;
  for (; at + kSize <= bytes; at += kSize) {
    Vector vector;
    std::memcpy(&vector, from + at, sizeof vector);
    std::memcpy(to + at, &vector, sizeof vector);
  }
  for (; at + 4 <= bytes; at += 4) std::memcpy(to + at, from + at, 4);
  for (; at < bytes; at++) to[at] = from[at];
}

}  // namespace dino8::engine
