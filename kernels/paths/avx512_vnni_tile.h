// Integer tiles by VPDPBUSD of AVX-512 VNNI, which adds 64 products of bytes to 16 sums of 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "../packed_weight.h"

namespace dino8 {
namespace {

struct Avx512VnniTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = 4;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = true;

  // Named variables in place of an array: GCC 12 keeps arrays of vectors in memory (half of the speed, measured).
  struct Vectors {
    __m512i panel0, panel1, panel2, panel3;
  };

  // A vector of each panel, `panel_bytes` apart.
  template <int Panels>
  static Vectors load(const void* first, int64_t panel_bytes) {
    const auto* const from = static_cast<const char*>(first);
    Vectors vectors{};
    vectors.panel0 = _mm512_loadu_si512(from);
    if constexpr (Panels > 1) vectors.panel1 = _mm512_loadu_si512(from + panel_bytes);
    if constexpr (Panels > 2) vectors.panel2 = _mm512_loadu_si512(from + 2 * panel_bytes);
    if constexpr (Panels > 3) vectors.panel3 = _mm512_loadu_si512(from + 3 * panel_bytes);
    return vectors;
  }

  template <int Panels>
  static void add(Vectors& sums, const uint8_t* bytes, const Vectors& step) {
    int32_t four;
    std::memcpy(&four, bytes, sizeof four);
    const __m512i row = _mm512_set1_epi32(four);
    sums.panel0 = _mm512_dpbusd_epi32(sums.panel0, row, step.panel0);
    if constexpr (Panels > 1) sums.panel1 = _mm512_dpbusd_epi32(sums.panel1, row, step.panel1);
    if constexpr (Panels > 2) sums.panel2 = _mm512_dpbusd_epi32(sums.panel2, row, step.panel2);
    if constexpr (Panels > 3) sums.panel3 = _mm512_dpbusd_epi32(sums.panel3, row, step.panel3);
  }

  template <int Panels>
  static void store(int32_t* out, const Vectors& sums) {
    _mm512_storeu_si512(out, sums.panel0);
    if constexpr (Panels > 1) _mm512_storeu_si512(out + 16, sums.panel1);
    if constexpr (Panels > 2) _mm512_storeu_si512(out + 32, sums.panel2);
    if constexpr (Panels > 3) _mm512_storeu_si512(out + 48, sums.panel3);
  }

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    Vectors row0 = load<Panels>(initial, sizeof(__m512i)), row1 = row0, row2 = row0, row3 = row0, row4 = row0, row5 = row0;
    for (int64_t at = 0; at < steps; at++, a += step_stride, weight += kStepBytes) {
      const Vectors step = load<Panels>(weight, panel_bytes);
      add<Panels>(row0, a, step);
      if constexpr (Rows > 1) add<Panels>(row1, a + stride, step);
      if constexpr (Rows > 2) add<Panels>(row2, a + 2 * stride, step);
      if constexpr (Rows > 3) add<Panels>(row3, a + 3 * stride, step);
      if constexpr (Rows > 4) add<Panels>(row4, a + 4 * stride, step);
      if constexpr (Rows > 5) add<Panels>(row5, a + 5 * stride, step);
    }
    constexpr int kWidth = Panels * kPanelColumns;
    store<Panels>(out, row0);
    if constexpr (Rows > 1) store<Panels>(out + kWidth, row1);
    if constexpr (Rows > 2) store<Panels>(out + 2 * kWidth, row2);
    if constexpr (Rows > 3) store<Panels>(out + 3 * kWidth, row3);
    if constexpr (Rows > 4) store<Panels>(out + 4 * kWidth, row4);
    if constexpr (Rows > 5) store<Panels>(out + 5 * kWidth, row5);
  }
};

}  // namespace
}  // namespace dino8
