#include <immintrin.h>

#include "deformable_attention_queries.h"

namespace dino8 {
namespace {

struct Avx512 {
  using Type = __m512;
  static constexpr int Lanes = 16;
  static Type zero() { return _mm512_setzero_ps(); }
  static Type load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Type value) { _mm512_storeu_ps(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return _mm512_fmadd_ps(value, _mm512_set1_ps(weight), sum);
  }
};

}  // namespace

void queries_avx512(const DeformableAttention& a, int64_t begin, int64_t end) { query_range<Avx512>(a, begin, end); }

}  // namespace dino8
