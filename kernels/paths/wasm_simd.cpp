// The kernels for WebAssembly with SIMD. Where the compiler may use relaxed SIMD, there are those for browsers whose dot
// products of bytes are exact, too: see wasm_relaxed_tile.h.
#include "path_kernels.h"
#include "wasm_tile.h"
#include "wasm_vector.h"
#if defined(__wasm_relaxed_simd__)
#include "wasm_relaxed_tile.h"
#endif

namespace dino8 {
namespace {

// Without what calibration and training need, which pages have neither of.
template <class Tile>
constexpr CpuKernels inference_kernels() {
  CpuKernels kernels = path_kernels<Wasm, SizedTile<Tile>>();
  kernels.observe = {}, kernels.gradients = {};
  return kernels;
}

}  // namespace

constexpr CpuKernels wasm_simd_kernels = inference_kernels<WasmTile>();
#if defined(__wasm_relaxed_simd__)
constexpr CpuKernels wasm_unsigned_dot_kernels = inference_kernels<WasmRelaxedTile<UnsignedBytes>>();
constexpr CpuKernels wasm_signed_dot_kernels = inference_kernels<WasmRelaxedTile<SignedBytes>>();
#endif

}  // namespace dino8
