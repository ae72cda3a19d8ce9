// The instruction set that the kernels use.
#pragma once

#include <vector>

#include "cpu_kernels.h"

namespace dino8 {

// The environment variable that names an instruction set.
constexpr const char* kPathVariable = "DINO8_KERNEL_PATH";

struct CpuPath {
  const char* name;  // "amx-int8", "avx512-vnni", "avx-vnni", "avx512", "avx2", "neon-i8mm", "neon-dot", "neon", "wasm-unsigned-dot", "wasm-signed-dot", "wasm-simd" or "scalar"
  const CpuKernels* kernels;
};

// The instruction sets of this machine, the fastest one first.
const std::vector<CpuPath>& cpu_paths();

// The instruction set that DINO8_KERNEL_PATH names or, where the variable is not set or empty, the fastest one of this
// machine. Null if the variable names one that this machine does not have; `bad_path_message` then says so.
const CpuPath* choose_cpu_path();

// True if DINO8_KERNEL_PATH names an instruction set.
bool is_path_named();

// The names of the instruction sets of this machine, separated by commas, the fastest one first.
const char* cpu_path_names();

// The sentence for a value of DINO8_KERNEL_PATH that this machine does not have.
const char* bad_path_message();

}  // namespace dino8
