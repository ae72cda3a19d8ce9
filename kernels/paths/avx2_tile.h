// Integer tiles by AVX2. VPMADDUBSW would add two products in 16 bits, where 255 · 127 · 2 does not fit, so that the
// bytes are widened to 16 bits, whose products VPMADDWD adds in 32 bits exactly. The bytes of a row are widened once for
// several panels. Sums of up to kMostSteps steps stay in registers; those of more are added in memory.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../float_vector.h"
#include "../packed_weight.h"

namespace dino8 {
namespace {

struct Avx2Tile {
  static constexpr int kRows = 4;
  static constexpr int kPanels = 4;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = true;
  static constexpr int64_t kMostSteps = 768;

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    constexpr int64_t kWidth = Panels * kPanelColumns;
    alignas(32) int16_t words[Rows * kWords];
    for (int row = 0; row < Rows; row++) std::copy_n(initial, kWidth, out + row * kWidth);
    for (int64_t done = 0; done < steps; done += kSteps) {
      const int64_t some = std::min(kSteps, steps - done);
      for (int row = 0; row < Rows; row++) widen(a + row * stride + done * step_stride, some, step_stride, words + row * kWords);
      for (int64_t at = 0; at < 2 * Panels; at++)
        multiply_half_panel<Rows>(words, weight + at / 2 * panel_bytes + done * kStepBytes + at % 2 * (kStepBytes / 2),
                                  some, out + at * kHalf, kWidth);
    }
  }

  // The sums of a row of a panel.
  struct RowSums {
    __m256i low, high;

    static constexpr bool kAreWhole = true;
    static constexpr int64_t width() { return kPanelColumns; }
    IntVector operator()([[maybe_unused]] int64_t at) const {
#if defined(__AVX512F__)
      return (IntVector)_mm512_maskz_inserti64x4(0xff, _mm512_castsi256_si512(low), high, 1);
#else
      return (IntVector)(at < kHalf ? low : high);
#endif
    }
  };

  // See integer_tile.h and `multiply_rows` in six_row_tile.h.
  template <int Count, class Take>
  __attribute__((noinline, flatten)) static void multiply_rows(const uint8_t* a, int64_t stride, const int8_t* weight,
                                                               int64_t panel_bytes, int64_t steps, const int32_t* initial,
                                                               const Take& take) {
    alignas(32) int16_t words[kRows * kWords];
    for (int row = 0; row < kRows; row++) widen(a + row * stride, steps, kStepDepth, words + row * kWords);
    for (int64_t column = 0; column < Count * kPanelColumns; column += kPanelColumns, weight += panel_bytes) {
      Sums low0, low1, low2, low3, high0, high1, high2, high3;
      add_products<kRows>(words, weight, steps, low0, low1, low2, low3);
      const __m256i left0 = columns_of(initial + column, low0), left1 = columns_of(initial + column, low1);
      const __m256i left2 = columns_of(initial + column, low2), left3 = columns_of(initial + column, low3);
      add_products<kRows>(words, weight + kStepBytes / 2, steps, high0, high1, high2, high3);
      const int32_t* const middle = initial + column + kHalf;
      take(0, column, RowSums{left0, columns_of(middle, high0)}), take(1, column, RowSums{left1, columns_of(middle, high1)});
      take(2, column, RowSums{left2, columns_of(middle, high2)}), take(3, column, RowSums{left3, columns_of(middle, high3)});
    }
  }

 private:
  static constexpr int64_t kHalf = kPanelColumns / 2;
  // So many steps of the rows of a tile take 24 kB when they are widened.
  static constexpr int64_t kSteps = kMostSteps, kWords = kSteps * kStepDepth;

  static void widen(const uint8_t* from, int64_t steps, int64_t step_stride, int16_t* to) {
    if (step_stride != kStepDepth) return widen_steps(from, steps, step_stride, to);
    const int64_t count = steps * kStepDepth;
    int64_t at = 0;
    for (; at + 16 <= count; at += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at));
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + at), _mm256_cvtepu8_epi16(bytes));
    }
    for (; at < count; at++) to[at] = from[at];
  }

  static void widen_steps(const uint8_t* from, int64_t steps, int64_t step_stride, int16_t* to) {
    for (int64_t step = 0; step < steps; step++, from += step_stride, to += kStepDepth) {
      int32_t four;
      std::memcpy(&four, from, sizeof four);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)));
    }
  }

  // The sums of a row for 8 columns: pairs of 32-bit sums, of which the two of a column are still to be added.
  struct Sums {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
  };

  static void add(Sums& sums, const int16_t* words, __m256i low, __m256i high) {
    const __m256i row = _mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(words)));
    sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(row, low));
    sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(row, high));
  }

  static void hold(Sums& sums) { asm volatile("" : "+x"(sums.low), "+x"(sums.high)); }

  // The sums of columns that begin at `initial`.
  static __m256i columns_of(const int32_t* initial, const Sums& sums) {
    // The columns of the two halves of `low` and `high` are 0 1 | 2 3 and 4 5 | 6 7.
    const __m256i pairs = _mm256_hadd_epi32(sums.low, sums.high);  // 0 1 4 5 | 2 3 6 7
    const __m256i columns = _mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0));
    return _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(initial)), columns);
  }

  template <int Rows>
  __attribute__((noinline)) static void multiply_half_panel(const int16_t* words, const int8_t* step, int64_t steps, int32_t* out,
                                                            int64_t width) {
    Sums row0, row1, row2, row3;
    add_products<Rows>(words, step, steps, row0, row1, row2, row3);
    const auto add_to = [width, out](int64_t row, const Sums& sums) {
      int32_t* const to = out + row * width;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), columns_of(to, sums));
    };
    add_to(0, row0);
    if constexpr (Rows > 1) add_to(1, row1);
    if constexpr (Rows > 2) add_to(2, row2);
    if constexpr (Rows > 3) add_to(3, row3);
  }

  // Adds the products of the first `Rows` rows with half a panel.
  template <int Rows>
  __attribute__((always_inline)) static void add_products(const int16_t* words, const int8_t* step, int64_t steps, Sums& row0,
                                                          Sums& row1, Sums& row2, Sums& row3) {
    for (int64_t at = 0; at < steps; at++, step += kStepBytes, words += kStepDepth) {
      const auto* from = reinterpret_cast<const __m128i*>(step);
      const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128(from));
      const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128(from + 1));
      add(row0, words, low, high);
      if constexpr (Rows > 1) add(row1, words + kWords, low, high);
      if constexpr (Rows > 2) add(row2, words + 2 * kWords, low, high);
      if constexpr (Rows > 3) add(row3, words + 3 * kWords, low, high);
    }
    hold(row0), hold(row1), hold(row2), hold(row3);
  }
};

}  // namespace
}  // namespace dino8
