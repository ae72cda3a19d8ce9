#include "cpu_path.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace dino8 {
namespace {

// These conditions name every feature that kernels/build.mjs lets the compiler use for a path. The compiler's own check
// also asks the operating system (XGETBV) whether it saves the registers.
std::vector<CpuPath> find_paths() {
  std::vector<CpuPath> paths;
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (has_avx512 && __builtin_cpu_supports("avx512vnni")) paths.push_back({"avx512-vnni", &avx512_vnni_kernels});
  if (has_avx512) paths.push_back({"avx512", &avx512_kernels});
  if (has_avx2) paths.push_back({"avx2", &avx2_kernels});
#elif defined(__aarch64__)
  paths.push_back({"neon", &neon_kernels});
#endif
  paths.push_back({"scalar", &scalar_kernels});
  return paths;
}

const std::vector<CpuPath>& all_paths() {
  static const std::vector<CpuPath> paths = find_paths();
  return paths;
}

}  // namespace

const CpuPath* choose_cpu_path() {
  const char* wanted = std::getenv(kPathVariable);
  if (wanted == nullptr || *wanted == '\0') return &all_paths().front();
  for (const CpuPath& path : all_paths())
    if (std::strcmp(wanted, path.name) == 0) return &path;
  return nullptr;
}

const char* cpu_path_names() {
  static const std::string names = [] {
    std::string joined;
    for (const CpuPath& path : all_paths()) joined += (joined.empty() ? "" : ",") + std::string(path.name);
    return joined;
  }();
  return names.c_str();
}

const char* bad_path_message() {
  static const std::string message = std::string(kPathVariable) +
                                     " names an instruction set that this machine does not have; it has " +
                                     cpu_path_names() + ".";
  return message.c_str();
}

}  // namespace dino8
