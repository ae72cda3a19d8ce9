// The kernels for x86-64 processors with AVX2 and FMA: vectors of 8 floats.
#include <immintrin.h>

#include "avx2_tile.h"
#include "path_kernels.h"

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

constexpr CpuKernels avx2_kernels = path_kernels<Avx2, Avx2Tile>();

}  // namespace dino8
