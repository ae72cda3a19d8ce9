// Vectors of 16 floats of AVX-512 F, VL, DQ and BW, for the paths with and without VNNI.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dino8 {
namespace {

struct Avx512 {
  using Type = __m512;
  static constexpr int Lanes = 16;
  static Type broadcast(float value) { return _mm512_set1_ps(value); }
  static Type load(const float* from) { return _mm512_loadu_ps(from); }
  static Type load(const uint8_t* from) { return floats(_mm512_maskz_cvtepu8_epi32(kAll, bytes(from))); }
  static Type load(const int8_t* from) { return floats(_mm512_maskz_cvtepi8_epi32(kAll, bytes(from))); }
  // These are the masked forms, because GCC 12 warns about its own headers for the plain ones (GCC bug 105593).
  static constexpr __mmask16 kAll = 0xffff;
  static Type floats(__m512i values) { return _mm512_maskz_cvtepi32_ps(kAll, values); }
  static __m128i bytes(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  static void store(float* to, Type value) { _mm512_storeu_ps(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) {
    return _mm512_fmadd_ps(value, _mm512_set1_ps(weight), sum);
  }
};

}  // namespace
}  // namespace dino8
