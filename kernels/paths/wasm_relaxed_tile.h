// Integer tiles by the instruction of WebAssembly's relaxed SIMD that adds four products of bytes to each of four sums of
// 32 bits (https://github.com/WebAssembly/relaxed-simd/blob/main/proposals/relaxed-simd/Overview.md). One of its operands is
// signed; the other one has 7 bits, or else the result is up to the browser's processor. Processors with VPDPBUSD take its
// 8 bits for an unsigned number, those with SDOT for a signed one, and both are exact. Others add two products in 16 bits
// with saturation. `relaxed_dot` in wasm_dot.h tells which it is, and has to be asked before a tile is used.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

#include "../packed_weight.h"

namespace dino8 {
namespace {

// The bytes of a row for processors that take them for unsigned or for signed numbers: kOffset, see integer_tile.h, and
// `of(bytes)`, which makes an operand of the instruction of bytes of the row.
struct UnsignedBytes {
  static constexpr int32_t kOffset = 0;
  static v128_t of(v128_t bytes) { return bytes; }
};

struct SignedBytes {
  static constexpr int32_t kOffset = 128;
  // Flipping the highest bit subtracts 128, as a signed number.
  static v128_t of(v128_t bytes) { return wasm_v128_xor(bytes, wasm_i8x16_splat(-128)); }
};

template <class Bytes>
struct WasmRelaxedTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = Bytes::kOffset;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = false;

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    static_assert(Panels == 1);
    for (int first = 0; first < kPanelColumns; first += 4 * kVectors)
      multiply_part<Rows>(a, static_cast<int32_t>(stride), weight + first * kStepDepth, static_cast<int32_t>(steps),
                          initial + first, out + first, static_cast<int32_t>(step_stride));
  }

 private:
  // The vectors of a step that are multiplied together: with six rows, their sums are in as many registers as there are.
  static constexpr int kVectors = 2;

  template <int Rows>
  static void multiply_part(const uint8_t* a, int32_t stride, const int8_t* step, int32_t steps, const int32_t* initial,
                            int32_t* out, int32_t step_stride) {
    v128_t sums[Rows][kVectors];
#pragma unroll
    for (int row = 0; row < Rows; row++)
#pragma unroll
      for (int part = 0; part < kVectors; part++) sums[row][part] = wasm_v128_load(initial + 4 * part);
    for (int32_t at = 0; at < steps; at++, a += step_stride, step += kStepBytes) {
      v128_t weights[kVectors];
#pragma unroll
      for (int part = 0; part < kVectors; part++) weights[part] = wasm_v128_load(step + 16 * part);
#pragma unroll
      for (int row = 0; row < Rows; row++) {
        const v128_t four = Bytes::of(wasm_v128_load32_splat(a + row * stride));
#pragma unroll
        for (int part = 0; part < kVectors; part++)
          sums[row][part] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(weights[part], four, sums[row][part]);
      }
    }
#pragma unroll
    for (int row = 0; row < Rows; row++)
#pragma unroll
      for (int part = 0; part < kVectors; part++)
        wasm_v128_store(out + row * kPanelColumns + 4 * part, sums[row][part]);
  }
};

}  // namespace
}  // namespace dino8
