// Integer tiles by VPDPBUSD of AVX-VNNI, which adds 32 products of bytes to 8 sums of 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "../six_row_tile.h"

namespace dino8 {
namespace {

struct AvxVnniPanel {
  static constexpr int kCount = 1;
  static constexpr int32_t kOffset = 0;

  struct Step {
    __m256i low, high;
  };

  // The sums of a row for 16 columns.
  struct Sums {
    __m256i low, high;
  };

  template <int>
  static Step load(const int8_t* weight, int64_t) {
    const auto* from = reinterpret_cast<const __m256i*>(weight);
    return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
  }

  template <int>
  static Sums begin(const int32_t* initial) {
    const auto* from = reinterpret_cast<const __m256i*>(initial);
    return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
  }

  template <int>
  static void add(Sums& sums, const uint8_t* bytes, const Step& step) {
    const __m256i row = _mm256_set1_epi32(load_four<int32_t>(bytes));
    sums.low = _mm256_dpbusd_avx_epi32(sums.low, row, step.low);
    sums.high = _mm256_dpbusd_avx_epi32(sums.high, row, step.high);
  }

  template <int>
  static void store(int32_t* out, const Sums& sums) {
    auto* const to = reinterpret_cast<__m256i*>(out);
    _mm256_storeu_si256(to, sums.low);
    _mm256_storeu_si256(to + 1, sums.high);
  }

  static IntVector vector(const Sums& sums, int64_t at) { return (IntVector)(at < 8 ? sums.low : sums.high); }

  template <int>
  static void hold(Sums& sums) { asm volatile("" : "+x"(sums.low), "+x"(sums.high)); }
};

using AvxVnniTile = SixRowTile<AvxVnniPanel>;

}  // namespace
}  // namespace dino8
