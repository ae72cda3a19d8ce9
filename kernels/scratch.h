// The memory that a task works in. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace dino8 {
namespace {

// Sets `memory` to so many numbers, all 0. Returns false if there is not enough memory.
template <class Number>
bool allocate(std::unique_ptr<Number[]>& memory, int64_t count) {
  memory.reset(new (std::nothrow) Number[static_cast<size_t>(count)]());
  return memory != nullptr;
}

}  // namespace
}  // namespace dino8
