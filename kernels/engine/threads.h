// The threads that share the work of an operator.
#pragma once

#include <cstddef>

namespace dino8::engine {

// Calls `task(data, part)` for each of `parts` parts, and returns when all are done.
void parallel_for(size_t parts, void (*task)(void*, size_t), void* data);

}  // namespace dino8::engine
