#include "cpu_path.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__wasm__)
#include "paths/wasm_dot.h"
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace dino8 {
namespace {

#if defined(__x86_64__) && defined(DINO8_HAS_AVX_VNNI)
// CPUID leaf 7, 1: EAX, bit 4. Compilers know the feature's name since GCC 11 and Clang 12 only.
bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1) != 0;
}
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(DINO8_HAS_AMX_INT8)
// True if the processor has tiles and their products of bytes (CPUID leaf 7, EDX, bits 24 and 25), the operating system
// saves tile registers (XCR0, bits 17 and 18), and it lets this process use them. Linux gives the permission once for the
// life of a process (https://docs.kernel.org/arch/x86/xstate.html).
bool has_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx >> 27 & 1) == 0) return false;  // XGETBV
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx >> 24 & 3) != 3) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low >> 17 & 3) != 3) return false;
  // The numbers of the kernel's asm/prctl.h and asm/fpu/types.h, which older headers lack.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#elif defined(__x86_64__) && defined(DINO8_HAS_AMX_INT8)
bool has_amx() { return false; }
#endif

#if defined(__aarch64__) && defined(__linux__)
// The bits of the kernel's arm64 hwcap.h, which older headers lack.
bool has_dot_products() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }
bool has_i8mm() { return (getauxval(AT_HWCAP2) >> 13 & 1) != 0; }
#elif defined(__aarch64__) && defined(__APPLE__)
bool has_feature(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool has_dot_products() { return has_feature("hw.optional.arm.FEAT_DotProd"); }
bool has_i8mm() { return has_feature("hw.optional.arm.FEAT_I8MM"); }
#elif defined(__aarch64__)
bool has_dot_products() { return false; }
bool has_i8mm() { return false; }
#endif

// These conditions name every feature that kernels/build.mjs lets the compiler use for a path. The compiler's own check
// also asks the operating system (XGETBV) whether it saves the registers.
std::vector<CpuPath> find_paths() {
  std::vector<CpuPath> paths;
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  const bool has_avx512_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
#if defined(DINO8_HAS_AMX_INT8)
  if (has_avx512_vnni && has_amx()) paths.push_back({"amx-int8", &amx_int8_kernels});
#endif
  if (has_avx512_vnni) paths.push_back({"avx512-vnni", &avx512_vnni_kernels});
#if defined(DINO8_HAS_AVX_VNNI)
  if (has_avx2 && has_avx_vnni()) paths.push_back({"avx-vnni", &avx_vnni_kernels});
#endif
  if (has_avx512) paths.push_back({"avx512", &avx512_kernels});
  if (has_avx2) paths.push_back({"avx2", &avx2_kernels});
#elif defined(__aarch64__)
  if (has_i8mm()) paths.push_back({"neon-i8mm", &neon_i8mm_kernels});
  if (has_dot_products()) paths.push_back({"neon-dot", &neon_dot_kernels});
  paths.push_back({"neon", &neon_kernels});
#elif defined(__wasm__)
#if defined(__wasm_relaxed_simd__)
  const RelaxedDot dot = relaxed_dot();
  if (dot == RelaxedDot::kUnsigned) paths.push_back({"wasm-unsigned-dot", &wasm_unsigned_dot_kernels});
  if (dot == RelaxedDot::kSigned) paths.push_back({"wasm-signed-dot", &wasm_signed_dot_kernels});
#endif
  paths.push_back({"wasm-simd", &wasm_simd_kernels});
#endif
#if !defined(__wasm__)  // where all processors have vectors
  paths.push_back({"scalar", &scalar_kernels});
#endif
  return paths;
}

}  // namespace

const std::vector<CpuPath>& cpu_paths() {
  static const std::vector<CpuPath> paths = find_paths();
  return paths;
}

bool is_path_named() {
  const char* wanted = std::getenv(kPathVariable);
  return wanted != nullptr && *wanted != '\0';
}

const CpuPath* choose_cpu_path() {
  if (!is_path_named()) return &cpu_paths().front();
  const char* wanted = std::getenv(kPathVariable);
  for (const CpuPath& path : cpu_paths())
    if (std::strcmp(wanted, path.name) == 0) return &path;
  return nullptr;
}

const char* cpu_path_names() {
  static const std::string names = [] {
    std::string joined;
    for (const CpuPath& path : cpu_paths()) joined += (joined.empty() ? "" : ",") + std::string(path.name);
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
