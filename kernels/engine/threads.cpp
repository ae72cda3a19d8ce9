#include "threads.h"

namespace dino8::engine {

void parallel_for(size_t parts, void (*task)(void*, size_t), void* data) {
  for (size_t part = 0; part < parts; part++) task(data, part);
}

}  // namespace dino8::engine
