// Vectors of 16 floats of AVX-512 F, VL, DQ and BW, for the paths with and without VNNI.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "avx2_vector.h"

namespace dino8 {
namespace {

struct Avx512 {
  using Type = __m512;
  static constexpr int Lanes = 16;
  static constexpr int kColumnVectors = 4;
  static Type broadcast(float value) { return _mm512_set1_ps(value); }
  static Type load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Type value) { _mm512_storeu_ps(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return _mm512_fmadd_ps(value, _mm512_set1_ps(weight), sum);
  }
  static Type multiply_add(Type value, Type weight, Type sum) { return _mm512_fmadd_ps(value, weight, sum); }
  static Type add(Type a, Type b) { return _mm512_add_ps(a, b); }
  static Type subtract(Type a, Type b) { return _mm512_sub_ps(a, b); }
  // These are masked forms, here and below, since GCC 12 warns about its own headers for plain ones (GCC bug 105593).
  static Type larger(Type a, Type b) { return _mm512_maskz_max_ps(0xffff, a, b); }
  static Type power_of_two(Type rounded) {
    const __m512i exponent = _mm512_sub_epi32(_mm512_castps_si512(rounded), _mm512_set1_epi32(kRoundingBits - 127));
    return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, exponent, 23));
  }
  template <int number>
  static __m256 half(Type value) {
    return _mm512_maskz_extractf32x8_ps(0xff, value, number);
  }
  static float highest_of(Type value) { return Avx2::highest_of(_mm256_max_ps(half<0>(value), half<1>(value))); }
  static float sum_of(Type value) { return Avx2::sum_of(_mm256_add_ps(half<0>(value), half<1>(value))); }

  using HalfPairSums = Avx2::PairSums;

  // See PlainPairSums in plain_pair_sums.h. Interleaving works on groups of 8 words: `low` has the first
  // half of the channels of each group, `high` the second one.
  struct PairSums {
    static constexpr int Channels = 32;
    __m512i low = _mm512_setzero_si512(), high = _mm512_setzero_si512();

    template <class Byte>
    void add(const Byte* a, const Byte* b, int32_t weights) {
      const __m512i first = words(a), second = words(b), pair = _mm512_set1_epi32(weights);
      low = add_products(low, _mm512_unpacklo_epi16(first, second), pair);
      high = add_products(high, _mm512_unpackhi_epi16(first, second), pair);
    }
    void add(const PairSums& other) {
      low = _mm512_add_epi32(low, other.low);
      high = _mm512_add_epi32(high, other.high);
    }
    void store(float* out) const {
      const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
      const __m512i second = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
      _mm512_storeu_ps(out, floats(_mm512_permutex2var_epi32(low, first, high)));
      _mm512_storeu_ps(out + 16, floats(_mm512_permutex2var_epi32(low, second, high)));
    }

   private:
    static __m512 floats(__m512i values) { return _mm512_maskz_cvtepi32_ps(0xffff, values); }
    static __m512i words(const uint8_t* from) { return _mm512_maskz_cvtepu8_epi16(~0u, bytes(from)); }
    static __m512i words(const int8_t* from) { return _mm512_maskz_cvtepi8_epi16(~0u, bytes(from)); }
    static __m256i bytes(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
    static __m512i add_products(__m512i sums, __m512i values, __m512i weights) {
#if defined(__AVX512VNNI__)
      return _mm512_dpwssd_epi32(sums, values, weights);
#else
      return _mm512_add_epi32(sums, _mm512_madd_epi16(values, weights));
#endif
    }
  };
};

}  // namespace
}  // namespace dino8
