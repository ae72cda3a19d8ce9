// The division of work into parts for the threads.
#pragma once

#include <algorithm>

#include "../operator.h"

namespace dino8::engine {

// A part is worth at least so many bytes that are moved, which is what waking a thread costs.
constexpr double kWorthAPart = 1 << 17;

// The most parts: some for each thread, so that a thread that is held up leaves the others enough to do.
constexpr int64_t kMaxParts = 32;

// Into how many parts to divide `count` pieces of work each of which costs as much as moving `cost` bytes.
inline int64_t count_parts(int64_t count, double cost) {
  const double worth = static_cast<double>(count) * cost / kWorthAPart;
  return std::max<int64_t>(1, std::min({count, kMaxParts, static_cast<int64_t>(std::min(worth, 1e6))}));
}

// Calls task(begin, end) for ranges that make up 0 … count, on all threads. One piece costs as much as moving `cost` bytes.
template <class Task>
void for_each_range(Run& run, int64_t count, double cost, const Task& task) {
  const int64_t parts = count_parts(count, cost);
  if (parts == 1) return task(int64_t{0}, count);
  const auto range = [&](size_t part) {
    const int64_t at = static_cast<int64_t>(part);
    task(count * at / parts, count * (at + 1) / parts);
  };
  for_each_part(run, static_cast<size_t>(parts), range);
}

}  // namespace dino8::engine
