// The threads that share the work of an operator. In WebAssembly a thread is a worker that runs this module on the same memory; the
// module has them if it is compiled with atomic instructions.
#pragma once

#include <cstddef>

namespace dino8::engine {

// Calls `task(data, part)` for each of `parts` parts, and returns when all are done. Only one thread may call this at a time.
void parallel_for(size_t parts, void (*task)(void*, size_t), void* data);

}  // namespace dino8::engine
