#include <immintrin.h>

#include "deformable_attention_queries.h"

namespace dino8 {
namespace {

struct Avx2 {
  using Type = __m256;
  static constexpr int Lanes = 8;
  static Type zero() { return _mm256_setzero_ps(); }
  static Type load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Type value) { _mm256_storeu_ps(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return _mm256_fmadd_ps(value, _mm256_set1_ps(weight), sum);
  }
};

}  // namespace

void queries_avx2(const DeformableAttention& a, int64_t begin, int64_t end) { query_range<Avx2>(a, begin, end); }

}  // namespace dino8
