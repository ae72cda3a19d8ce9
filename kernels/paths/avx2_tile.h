// Integer tiles by AVX2. VPMADDUBSW would add two products in 16 bits, where 255 · 127 · 2 does not fit, so that the
// bytes are widened to 16 bits, whose products VPMADDWD adds in 32 bits exactly. The bytes of a row are widened once for
// several panels.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../packed_weight.h"

namespace dino8 {
namespace {

struct Avx2Tile {
  static constexpr int kRows = 4;
  static constexpr int kPanels = 4;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = false;

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

 private:
  static constexpr int64_t kHalf = kPanelColumns / 2;
  // So many steps of the rows of a tile take 4 kB when they are widened.
  static constexpr int64_t kSteps = 128, kWords = kSteps * kStepDepth;

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

  static void add_to(int32_t* out, const Sums& sums) {
    // The columns of the two halves of `low` and `high` are 0 1 | 2 3 and 4 5 | 6 7.
    const __m256i pairs = _mm256_hadd_epi32(sums.low, sums.high);  // 0 1 4 5 | 2 3 6 7
    const __m256i columns = _mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0));
    auto* const to = reinterpret_cast<__m256i*>(out);
    _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), columns));
  }

  template <int Rows>
  static void multiply_half_panel(const int16_t* words, const int8_t* step, int64_t steps, int32_t* out,
                                  int64_t width) {
    Sums row0, row1, row2, row3;
    for (int64_t at = 0; at < steps; at++, step += kStepBytes, words += kStepDepth) {
      const auto* from = reinterpret_cast<const __m128i*>(step);
      const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128(from));
      const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128(from + 1));
      add(row0, words, low, high);
      if constexpr (Rows > 1) add(row1, words + kWords, low, high);
      if constexpr (Rows > 2) add(row2, words + 2 * kWords, low, high);
      if constexpr (Rows > 3) add(row3, words + 3 * kWords, low, high);
    }
    add_to(out, row0);
    if constexpr (Rows > 1) add_to(out + width, row1);
    if constexpr (Rows > 2) add_to(out + 2 * width, row2);
    if constexpr (Rows > 3) add_to(out + 3 * width, row3);
  }
};

}  // namespace
}  // namespace dino8
