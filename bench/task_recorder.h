// Runs the parts of an operator one after the other and notes how long each takes, for bench/threads.mjs, which compiles the
// kernels with DINO8_TASK_RECORDER. A line for each call in the file that DINO8_TASK_FILE names: when it began, and the time of
// each part, in microseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace dino8 {

inline double microseconds_now() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline void record_parts(void* work, int64_t parts, void (*task)(void*, size_t)) {
  static std::FILE* const file = std::fopen(std::getenv("DINO8_TASK_FILE"), "w");
  std::vector<double> times;
  const double begin = microseconds_now();
  for (int64_t part = 0; part < parts; part++) {
    const double start = microseconds_now();
    task(work, static_cast<size_t>(part));
    times.push_back(microseconds_now() - start);
  }
  std::fprintf(file, "%.1f", begin);
  for (const double time : times) std::fprintf(file, " %.1f", time);
  std::fprintf(file, "\n");
  std::fflush(file);
}

}  // namespace dino8
