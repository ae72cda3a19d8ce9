// Integer tiles of WebAssembly's SIMD instructions, which have no products of bytes, so that bytes are widened to 16 bits.
// An instruction adds two products of them in 32 bits exactly. The bytes of a row are widened once for all panels.
#pragma once

#include <wasm_simd128.h>

#include <algorithm>
#include <cstdint>

#include "../packed_weight.h"

namespace dino8 {
namespace {

struct WasmTile {
  static constexpr int kRows = 4;
  static constexpr int kPanels = 4;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = false;

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    constexpr int64_t kWidth = Panels * kPanelColumns;
    alignas(16) int16_t words[Rows * kWords];
    for (int row = 0; row < Rows; row++) std::copy_n(initial, kWidth, out + row * kWidth);
    for (int64_t done = 0; done < steps; done += kSteps) {
      const int64_t some = std::min(kSteps, steps - done);
      for (int row = 0; row < Rows; row++) widen(a + row * stride + done * step_stride, some, step_stride, words + row * kWords);
      for (int panel = 0; panel < Panels; panel++)
        for (int64_t column = 0; column < kPanelColumns; column += kColumns)
          multiply_columns<Rows>(words, weight + panel * panel_bytes + done * kStepBytes + column * kStepDepth,
                                 static_cast<int32_t>(some), out + panel * kPanelColumns + column, kWidth);
    }
  }

 private:
  // The vectors of a step that are multiplied together, each of which has two columns. With more, the sums of four rows are
  // not all in registers.
  static constexpr int kVectors = 2;
  static constexpr int64_t kColumns = 2 * kVectors;
  // So many steps of the rows of a tile take 3 kB when they are widened.
  static constexpr int64_t kSteps = 128, kWords = kSteps * kStepDepth;

  static void widen(const uint8_t* from, int64_t steps, int64_t step_stride, int16_t* to) {
    if (step_stride != kStepDepth) return widen_steps(from, steps, step_stride, to);
    const int64_t count = steps * kStepDepth;
    int64_t at = 0;
    for (; at + 8 <= count; at += 8) wasm_v128_store(to + at, wasm_u16x8_load8x8(from + at));
    for (; at < count; at++) to[at] = from[at];
  }

  static void widen_steps(const uint8_t* from, int64_t steps, int64_t step_stride, int16_t* to) {
    for (int64_t step = 0; step < steps; step++, from += step_stride, to += kStepDepth)
      wasm_v128_store64_lane(to, wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(from)), 0);
  }

  // Adds the sums of two columns each to 4 columns of a row. Each sum is in two parts.
  static void add_to(int32_t* out, v128_t first, v128_t second) {
    const v128_t even = wasm_i32x4_shuffle(first, second, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(first, second, 1, 3, 5, 7);
    wasm_v128_store(out, wasm_i32x4_add(wasm_v128_load(out), wasm_i32x4_add(even, odd)));
  }

  template <int Rows>
  static void multiply_columns(const int16_t* words, const int8_t* step, int32_t steps, int32_t* out, int64_t width) {
    v128_t sums[Rows][kVectors] = {};
    for (int32_t at = 0; at < steps; at++, step += kStepBytes, words += kStepDepth) {
      v128_t weights[kVectors];
#pragma unroll
      for (int part = 0; part < kVectors; part++) weights[part] = wasm_i16x8_load8x8(step + 8 * part);
#pragma unroll
      for (int row = 0; row < Rows; row++) {
        const v128_t four = wasm_v128_load64_splat(words + row * kWords);
#pragma unroll
        for (int part = 0; part < kVectors; part++)
          sums[row][part] = wasm_i32x4_add(sums[row][part], wasm_i32x4_dot_i16x8(four, weights[part]));
      }
    }
#pragma unroll
    for (int row = 0; row < Rows; row++)
#pragma unroll
      for (int part = 0; part < kVectors; part += 2)
        add_to(out + row * width + 2 * part, sums[row][part], sums[row][part + 1]);
  }
};

}  // namespace
}  // namespace dino8
