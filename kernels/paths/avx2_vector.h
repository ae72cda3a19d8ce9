// Vectors of 8 floats of AVX2 and FMA.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "../exponential.h"
#include "../plain_pair_sums.h"

namespace dino8 {
namespace {

struct Avx2 {
  using Type = __m256;
  static constexpr int Lanes = 8;
  static constexpr int kColumnVectors = 2;
  static Type broadcast(float value) { return _mm256_set1_ps(value); }
  static Type load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Type value) { _mm256_storeu_ps(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return _mm256_fmadd_ps(value, _mm256_set1_ps(weight), sum);
  }
  static Type multiply_add(Type value, Type weight, Type sum) { return _mm256_fmadd_ps(value, weight, sum); }
  static Type add(Type a, Type b) { return _mm256_add_ps(a, b); }
  static Type subtract(Type a, Type b) { return _mm256_sub_ps(a, b); }
  static Type larger(Type a, Type b) { return _mm256_max_ps(a, b); }
  static Type power_of_two(Type rounded) {
    const __m256i exponent = _mm256_sub_epi32(_mm256_castps_si256(rounded), _mm256_set1_epi32(kRoundingBits - 127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  }
  static float highest_of(Type value) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float sum_of(Type value) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

  using HalfPairSums = PlainPairSums<8>;

  // See PlainPairSums in plain_pair_sums.h. Interleaving works on groups of 8 words: `low` has the first
  // half of the channels of each group, `high` the second one.
  struct PairSums {
    static constexpr int Channels = 16;
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();

    template <class Byte>
    void add(const Byte* a, const Byte* b, int32_t weights) {
      const __m256i first = words(a), second = words(b), pair = _mm256_set1_epi32(weights);
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), pair));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second), pair));
    }
    void add(const PairSums& other) {
      low = _mm256_add_epi32(low, other.low);
      high = _mm256_add_epi32(high, other.high);
    }
    void store(float* out) const {
      _mm256_storeu_ps(out, _mm256_cvtepi32_ps(_mm256_permute2x128_si256(low, high, 0x20)));
      _mm256_storeu_ps(out + 8, _mm256_cvtepi32_ps(_mm256_permute2x128_si256(low, high, 0x31)));
    }

   private:
    static __m256i words(const uint8_t* from) { return _mm256_cvtepu8_epi16(bytes(from)); }
    static __m256i words(const int8_t* from) { return _mm256_cvtepi8_epi16(bytes(from)); }
    static __m128i bytes(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  };
};

}  // namespace
}  // namespace dino8
