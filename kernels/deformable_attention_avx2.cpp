#include <immintrin.h>

#include "deformable_attention_queries.h"

namespace dino8 {
namespace {

struct Avx2 {
  using Type = __m256;
  static constexpr int Lanes = 8;
  static Type broadcast(float value) { return _mm256_set1_ps(value); }
  static Type load(const float* from) { return _mm256_loadu_ps(from); }
  static Type load(const uint8_t* from) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(from))); }
  static Type load(const int8_t* from) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes(from))); }
  static __m128i bytes(const void* from) { return _mm_loadl_epi64(static_cast<const __m128i*>(from)); }
  static void store(float* to, Type value) { _mm256_storeu_ps(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return _mm256_fmadd_ps(value, _mm256_set1_ps(weight), sum);
  }
};

}  // namespace

void queries_avx2(const DeformableAttention& a, int64_t begin, int64_t end) { query_range<Avx2>(a, begin, end); }

}  // namespace dino8
