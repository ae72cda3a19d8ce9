// Memory that is needed soon. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>

namespace dino8 {
namespace {

// Asks for the memory of a row that is read or written soon, so that it is in the second-level cache by then. Processors
// find out by themselves which rows follow each other, but not before the first of them are read.
//
// Both functions are inlined always: GCC removes calls of a function that does nothing else.
__attribute__((always_inline)) inline void prefetch_row(const float* row, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t at = 0; at < count; at += kLine) __builtin_prefetch(row + at, 0, 2);
}

// Asks for bytes that are read very soon, so that they are in the first-level cache by then.
__attribute__((always_inline)) inline void prefetch_bytes(const void* bytes, int64_t count) {
  for (int64_t at = 0; at < count; at += 64) __builtin_prefetch(static_cast<const char*>(bytes) + at);
}

}  // namespace
}  // namespace dino8
