// Vectors of floats, as wide as the registers of the instruction set, in the form that GCC and Clang have for every
// processor (https://gcc.gnu.org/onlinedocs/gcc/Vector-Extensions.html). Operators apply to each element. Everything here
// is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dino8 {
namespace {

#if defined(__AVX512F__)
constexpr int64_t kFloatLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kFloatLanes = 8;
#else
constexpr int64_t kFloatLanes = 4;
#endif

typedef float FloatVector __attribute__((vector_size(kFloatLanes * 4)));
typedef int32_t IntVector __attribute__((vector_size(kFloatLanes * 4)));

inline FloatVector load_floats(const float* from) {
  FloatVector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline IntVector load_ints(const int32_t* from) {
  IntVector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store_floats(float* to, FloatVector value) { std::memcpy(to, &value, sizeof value); }

inline FloatVector all_floats(float value) { return FloatVector{} + value; }

inline FloatVector to_floats(IntVector value) { return __builtin_convertvector(value, FloatVector); }

// The sum of a vector's numbers, by halves.
template <class Number, class Vector>
Number sum_by_halves(Vector value) {
  Number parts[kFloatLanes];
  std::memcpy(parts, &value, sizeof value);
  for (int64_t half = kFloatLanes / 2; half > 0; half /= 2)
    for (int64_t at = 0; at < half; at++) parts[at] += parts[at + half];
  return parts[0];
}

inline float sum_of(FloatVector value) { return sum_by_halves<float>(value); }
inline int32_t sum_of(IntVector value) { return sum_by_halves<int32_t>(value); }

inline IntVector bits_of(FloatVector value) {
  IntVector bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The larger and the smaller one; b where one of them is not a number.
#if defined(__AVX512F__)
// These are the masked forms, because GCC 12 warns about its own headers for the plain ones (GCC bug 105593).
inline FloatVector larger(FloatVector a, FloatVector b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline FloatVector smaller(FloatVector a, FloatVector b) { return _mm512_maskz_min_ps(0xffff, a, b); }
#elif defined(__AVX2__)
inline FloatVector larger(FloatVector a, FloatVector b) { return _mm256_max_ps(a, b); }
inline FloatVector smaller(FloatVector a, FloatVector b) { return _mm256_min_ps(a, b); }
#else
inline FloatVector larger(FloatVector a, FloatVector b) { return a > b ? a : b; }
inline FloatVector smaller(FloatVector a, FloatVector b) { return a < b ? a : b; }
#endif

// Stores 16 integers from 0 to 255.
inline void store_bytes(uint8_t* to, const IntVector (&values)[16 / kFloatLanes]) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)values[0]));
#elif defined(__SSE2__)
  __m128i quarters[4];
  std::memcpy(quarters, values, sizeof quarters);
  const __m128i low = _mm_packs_epi32(quarters[0], quarters[1]), high = _mm_packs_epi32(quarters[2], quarters[3]);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(low, high));
#elif defined(__aarch64__)
  const int16x8_t low = vcombine_s16(vmovn_s32(values[0]), vmovn_s32(values[1]));
  const int16x8_t high = vcombine_s16(vmovn_s32(values[2]), vmovn_s32(values[3]));
  vst1q_u8(to, vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)));
#else
  for (int64_t at = 0; at < 16; at++) to[at] = static_cast<uint8_t>(values[at / kFloatLanes][at % kFloatLanes]);
#endif
}

}  // namespace
}  // namespace dino8
