// Integer tiles by VPDPBUSD of AVX-VNNI, which adds 32 products of bytes to 8 sums of 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "../packed_weight.h"

namespace dino8 {
namespace {

struct AvxVnniTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kHasDotProducts = true;

  // The sums of a row for 16 columns.
  struct Sums {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
  };

  static void add(Sums& sums, const uint8_t* bytes, __m256i low, __m256i high) {
    int32_t four;
    std::memcpy(&four, bytes, sizeof four);
    const __m256i row = _mm256_set1_epi32(four);
    sums.low = _mm256_dpbusd_avx_epi32(sums.low, row, low);
    sums.high = _mm256_dpbusd_avx_epi32(sums.high, row, high);
  }

  static void store(int32_t* out, const Sums& sums) {
    auto* const to = reinterpret_cast<__m256i*>(out);
    _mm256_storeu_si256(to, sums.low);
    _mm256_storeu_si256(to + 1, sums.high);
  }

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t, int64_t steps, int32_t* out) {
    static_assert(Panels == 1);
    Sums row0, row1, row2, row3, row4, row5;
    for (int64_t at = 0; at < steps; at++, a += kStepDepth, weight += kStepBytes) {
      const auto* from = reinterpret_cast<const __m256i*>(weight);
      const __m256i low = _mm256_loadu_si256(from), high = _mm256_loadu_si256(from + 1);
      add(row0, a, low, high);
      if constexpr (Rows > 1) add(row1, a + stride, low, high);
      if constexpr (Rows > 2) add(row2, a + 2 * stride, low, high);
      if constexpr (Rows > 3) add(row3, a + 3 * stride, low, high);
      if constexpr (Rows > 4) add(row4, a + 4 * stride, low, high);
      if constexpr (Rows > 5) add(row5, a + 5 * stride, low, high);
    }
    store(out, row0);
    if constexpr (Rows > 1) store(out + kPanelColumns, row1);
    if constexpr (Rows > 2) store(out + 2 * kPanelColumns, row2);
    if constexpr (Rows > 3) store(out + 3 * kPanelColumns, row3);
    if constexpr (Rows > 4) store(out + 4 * kPanelColumns, row4);
    if constexpr (Rows > 5) store(out + 5 * kPanelColumns, row5);
  }
};

}  // namespace
}  // namespace dino8
