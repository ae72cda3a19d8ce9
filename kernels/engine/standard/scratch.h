// Memory that an operator needs while it runs.
#pragma once

#include <cstdint>

#include "../tensor.h"

namespace dino8::engine {

// An array of `count` numbers, which are not initialised. False, as a condition, if there is not enough memory.
template <class Number>
class Scratch {
 public:
  explicit Scratch(int64_t count) {
    const bool fits = count <= kMaxBytes / static_cast<int64_t>(sizeof(Number));
    if (fits) memory_ = allocate(count * static_cast<int64_t>(sizeof(Number)));
  }

  explicit operator bool() const { return memory_ != nullptr; }
  Number* data() const { return reinterpret_cast<Number*>(memory_.get()); }

 private:
  std::shared_ptr<char> memory_;
};

}  // namespace dino8::engine
