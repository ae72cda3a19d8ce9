// Integer tiles by AVX2. VPMADDUBSW would add two products in 16 bits, where 255 · 127 · 2 does not fit, so that the
// bytes are widened to 16 bits, whose products VPMADDWD adds in 32 bits exactly.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "../packed_weight.h"

namespace dino8 {
namespace {

struct Avx2Tile {
  static constexpr int kRows = 4;
  static constexpr int kPanels = 1;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kHasDotProducts = false;

  // The sums of a row for 8 columns: pairs of 32-bit sums, of which the two of a column are still to be added.
  struct Sums {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
  };

  static void add(Sums& sums, const uint8_t* bytes, __m256i low, __m256i high) {
    int32_t four;
    std::memcpy(&four, bytes, sizeof four);
    const __m256i row = _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)));
    sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(row, low));
    sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(row, high));
  }

  static void store(int32_t* out, const Sums& sums) {
    // The columns of the two halves of `low` and `high` are 0 1 | 2 3 and 4 5 | 6 7.
    const __m256i pairs = _mm256_hadd_epi32(sums.low, sums.high);  // 0 1 4 5 | 2 3 6 7
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0)));
  }

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       int32_t* out) {
    constexpr int kHalf = kPanelColumns / 2;
    for (int panel = 0; panel < Panels; panel++)
      for (int half = 0; half < 2; half++) {
        const int8_t* step = weight + panel * panel_bytes + half * (kStepBytes / 2);
        Sums row0, row1, row2, row3;
        for (int64_t at = 0; at < steps; at++, step += kStepBytes) {
          const auto* from = reinterpret_cast<const __m128i*>(step);
          const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128(from));
          const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128(from + 1));
          const uint8_t* bytes = a + at * kStepDepth;
          add(row0, bytes, low, high);
          if constexpr (Rows > 1) add(row1, bytes + stride, low, high);
          if constexpr (Rows > 2) add(row2, bytes + 2 * stride, low, high);
          if constexpr (Rows > 3) add(row3, bytes + 3 * stride, low, high);
        }
        int32_t* to = out + panel * kPanelColumns + half * kHalf;
        constexpr int kWidth = Panels * kPanelColumns;
        store(to, row0);
        if constexpr (Rows > 1) store(to + kWidth, row1);
        if constexpr (Rows > 2) store(to + 2 * kWidth, row2);
        if constexpr (Rows > 3) store(to + 3 * kWidth, row3);
      }
  }
};

}  // namespace
}  // namespace dino8
