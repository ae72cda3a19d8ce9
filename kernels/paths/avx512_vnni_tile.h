// Integer tiles by VPDPBUSD of AVX-512 VNNI, which adds 64 products of bytes to 16 sums of 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "../six_row_tile.h"

namespace dino8 {
namespace {

struct Avx512VnniPanels {
  static constexpr int kCount = 4;
  static constexpr int32_t kOffset = 0;

  // A vector of each panel.
  struct Vectors {
    __m512i panel0, panel1, panel2, panel3;
  };
  using Step = Vectors;
  using Sums = Vectors;

  template <int Count>
  static Step load(const int8_t* weight, int64_t panel_bytes) {
    return load_vectors<Count>(weight, panel_bytes);
  }

  template <int Count>
  static Sums begin(const int32_t* initial) {
    return load_vectors<Count>(initial, sizeof(__m512i));
  }

  template <int Count>
  static void add(Sums& sums, const uint8_t* bytes, const Step& step) {
    const __m512i row = _mm512_set1_epi32(load_four<int32_t>(bytes));
    sums.panel0 = _mm512_dpbusd_epi32(sums.panel0, row, step.panel0);
    if constexpr (Count > 1) sums.panel1 = _mm512_dpbusd_epi32(sums.panel1, row, step.panel1);
    if constexpr (Count > 2) sums.panel2 = _mm512_dpbusd_epi32(sums.panel2, row, step.panel2);
    if constexpr (Count > 3) sums.panel3 = _mm512_dpbusd_epi32(sums.panel3, row, step.panel3);
  }

  template <int Count>
  static void store(int32_t* out, const Sums& sums) {
    _mm512_storeu_si512(out, sums.panel0);
    if constexpr (Count > 1) _mm512_storeu_si512(out + 16, sums.panel1);
    if constexpr (Count > 2) _mm512_storeu_si512(out + 32, sums.panel2);
    if constexpr (Count > 3) _mm512_storeu_si512(out + 48, sums.panel3);
  }

  static IntVector vector(const Sums& sums, int64_t at) {
    return (IntVector)(at < 16 ? sums.panel0 : at < 32 ? sums.panel1 : at < 48 ? sums.panel2 : sums.panel3);
  }

  template <int Count>
  static void hold(Sums& sums) {
    asm volatile("" : "+v"(sums.panel0));
    if constexpr (Count > 1) asm volatile("" : "+v"(sums.panel1));
    if constexpr (Count > 2) asm volatile("" : "+v"(sums.panel2));
    if constexpr (Count > 3) asm volatile("" : "+v"(sums.panel3));
  }

 private:
  // Vectors that are `distance` bytes apart.
  template <int Count>
  static Vectors load_vectors(const void* first, int64_t distance) {
    const auto* const from = static_cast<const char*>(first);
    Vectors vectors{};
    vectors.panel0 = _mm512_loadu_si512(from);
    if constexpr (Count > 1) vectors.panel1 = _mm512_loadu_si512(from + distance);
    if constexpr (Count > 2) vectors.panel2 = _mm512_loadu_si512(from + 2 * distance);
    if constexpr (Count > 3) vectors.panel3 = _mm512_loadu_si512(from + 3 * distance);
    return vectors;
  }
};

using Avx512VnniTile = SixRowTile<Avx512VnniPanels>;

}  // namespace
}  // namespace dino8
