// Which instruction set the kernels use: the best the machine has, or the one that DINO8_KERNEL_PATH names.
#pragma once

#include <cstdlib>
#include <cstring>

#include "deformable_attention.h"
#include "gradients.h"
#include "observe.h"

namespace dino8 {

struct CpuPath {
  const char* name;
  bool supported;
  QueryRange deformable_attention;
  ObserveKernels observe;
  GradientKernels gradients;
};

// Best first; the last one always works.
inline const CpuPath& choose_cpu_path() {
  static const CpuPath paths[] = {
#if defined(__x86_64__)
      {"avx512", __builtin_cpu_supports("avx512f") != 0, queries_avx512, observe_avx512,
       gradients_avx512},
      {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), queries_avx2, observe_avx2,
       gradients_avx2},
#elif defined(__aarch64__)
      {"neon", true, queries_neon, observe_neon,
       gradients_neon},
#endif
      {"scalar", true, queries_scalar, observe_scalar,
       gradients_scalar},
  };
  const char* wanted = std::getenv("DINO8_KERNEL_PATH");
  const CpuPath* best = nullptr;
  for (const CpuPath& path : paths) {
    if (!path.supported) continue;
    if (best == nullptr) best = &path;
    if (wanted != nullptr && std::strcmp(wanted, path.name) == 0) return path;
  }
  return *best;
}

}  // namespace dino8
