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
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
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

// Adding 1.5 · 2^23 to a number between −2^22 and 2^22 leaves the nearest integer, with ties to even, in the low bits of
// the sum.
constexpr float kRounding = 12582912.0f;
constexpr int32_t kRoundingBits = 0x4b400000;

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

inline void store_ints(int32_t* to, IntVector value) { std::memcpy(to, &value, sizeof value); }

// The difference, other than a sum, is not computed: a sum with 0 would turn −0 into 0.
inline FloatVector all_floats(float value) { return value - FloatVector{}; }

inline FloatVector to_floats(IntVector value) { return __builtin_convertvector(value, FloatVector); }

inline IntVector bits_of(FloatVector value) {
  IntVector bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// a · b + c. Compilers make one instruction of the operators where there is one, other than those for WebAssembly.
#if defined(__wasm_relaxed_simd__)
inline FloatVector multiply_add(FloatVector a, FloatVector b, FloatVector c) { return wasm_f32x4_relaxed_madd(a, b, c); }
#else
inline FloatVector multiply_add(FloatVector a, FloatVector b, FloatVector c) { return a * b + c; }
#endif

// The larger and the smaller one; b where one of them is not a number.
#if defined(__AVX512F__)
// These are the masked forms, because GCC 12 warns about its own headers for the plain ones (GCC bug 105593).
inline FloatVector larger(FloatVector a, FloatVector b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline FloatVector smaller(FloatVector a, FloatVector b) { return _mm512_maskz_min_ps(0xffff, a, b); }
#elif defined(__AVX2__)
inline FloatVector larger(FloatVector a, FloatVector b) { return _mm256_max_ps(a, b); }
inline FloatVector smaller(FloatVector a, FloatVector b) { return _mm256_min_ps(a, b); }
#elif defined(__wasm_simd128__)
inline FloatVector larger(FloatVector a, FloatVector b) { return wasm_f32x4_pmax(b, a); }
inline FloatVector smaller(FloatVector a, FloatVector b) { return wasm_f32x4_pmin(b, a); }
#else
inline FloatVector larger(FloatVector a, FloatVector b) { return a > b ? a : b; }
inline FloatVector smaller(FloatVector a, FloatVector b) { return a < b ? a : b; }
#endif

// The number that is left of a vector if its halves are joined by join(a, b), then the halves of the result, and so on.
template <class Number, class Vector, class Join>
Number join_halves(Vector value, Join join) {
#if defined(__AVX2__)
  typedef Number Eight __attribute__((vector_size(32)));
  typedef Number Four __attribute__((vector_size(16)));
#if defined(__AVX512F__)
  const __m512 all = (__m512)value;
  const Eight eight =
      join((Eight)_mm512_maskz_extractf32x8_ps(0xff, all, 0), (Eight)_mm512_maskz_extractf32x8_ps(0xff, all, 1));
#else
  const Eight eight = value;
#endif
  const Four four = join((Four)_mm256_castps256_ps128((__m256)eight), (Four)_mm256_extractf128_ps((__m256)eight, 1));
  const Four two = join(four, (Four)_mm_movehl_ps((__m128)four, (__m128)four));
  return join(two, (Four)_mm_movehdup_ps((__m128)two))[0];
#else
  Number parts[kFloatLanes];
  std::memcpy(parts, &value, sizeof value);
  for (int64_t half = kFloatLanes / 2; half > 0; half /= 2)
    for (int64_t at = 0; at < half; at++) parts[at] = join(parts[at], parts[at + half]);
  return parts[0];
#endif
}

inline float sum_of(FloatVector value) {
  return join_halves<float>(value, [](auto a, auto b) { return a + b; });
}
inline int32_t sum_of(IntVector value) {
  return join_halves<int32_t>(value, [](auto a, auto b) { return a + b; });
}
inline float largest_of(FloatVector value) {
  return join_halves<float>(value, [](auto a, auto b) { return b > a ? b : a; });
}

// As many bytes as a vector has numbers, as integers. GCC 12 converts a vector of bytes by its elements.
inline IntVector load_bytes(const uint8_t* from) {
#if defined(__AVX512F__)
  return (IntVector)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (IntVector)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  [[maybe_unused]] int32_t four;
  std::memcpy(&four, from, sizeof four);
#if defined(__SSE2__)
  const __m128i zero = _mm_setzero_si128(), pairs = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
  return (IntVector)_mm_unpacklo_epi16(pairs, zero);
#elif defined(__aarch64__)
  const uint8x8_t bytes = vreinterpret_u8_s32(vdup_n_s32(four));
  return (IntVector)vmovl_u16(vget_low_u16(vmovl_u8(bytes)));
#elif defined(__wasm_simd128__)
  return (IntVector)wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_i32x4_splat(four)));
#else
  return IntVector{from[0], from[1], from[2], from[3]};
#endif
#endif
}

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
#elif defined(__wasm_simd128__)
  const v128_t low = wasm_i16x8_narrow_i32x4(values[0], values[1]), high = wasm_i16x8_narrow_i32x4(values[2], values[3]);
  wasm_v128_store(to, wasm_u8x16_narrow_i16x8(low, high));
#else
  for (int64_t at = 0; at < 16; at++) to[at] = static_cast<uint8_t>(values[at / kFloatLanes][at % kFloatLanes]);
#endif
}

// Stores integers as bytes: what is below 0 as 0, what is above 255 as 255. There are 16 of them, or those of four vectors.
template <int Count>
inline void store_limited_bytes(uint8_t* to, const IntVector (&values)[Count]) {
  static_assert(Count == 4 || Count * kFloatLanes == 16);
#if defined(__AVX512F__)
  if constexpr (Count == 4) {
    // Packing works on groups of 128 bits, so that the quarters of the vectors are mixed.
    const __m512i low = _mm512_packs_epi32((__m512i)values[0], (__m512i)values[1]);
    const __m512i high = _mm512_packs_epi32((__m512i)values[2], (__m512i)values[3]);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(to, _mm512_maskz_permutexvar_epi32(0xffff, order, _mm512_packus_epi16(low, high)));
  } else {
    const __m512i raised = _mm512_maskz_max_epi32(0xffff, (__m512i)values[0], _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtusepi32_epi8(0xffff, raised));
  }
#elif defined(__AVX2__)
  if constexpr (Count == 4) {
    const __m256i low = _mm256_packs_epi32((__m256i)values[0], (__m256i)values[1]);
    const __m256i high = _mm256_packs_epi32((__m256i)values[2], (__m256i)values[3]);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
  } else {
    store_bytes(to, values);
  }
#elif defined(__SSE2__) || defined(__wasm_simd128__)
  store_bytes(to, values);
#elif defined(__aarch64__)
  const int16x8_t low = vcombine_s16(vqmovn_s32(values[0]), vqmovn_s32(values[1]));
  const int16x8_t high = vcombine_s16(vqmovn_s32(values[2]), vqmovn_s32(values[3]));
  vst1q_u8(to, vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)));
#else
  for (int64_t at = 0; at < 16; at++) {
    const int32_t value = values[at / kFloatLanes][at % kFloatLanes];
    to[at] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
#endif
}

// The integers nearest to some numbers plus `offset`, which is from 0 to 255. No number is above 255 − offset; those below
// −offset, and those that are not numbers, become an integer that is not above 0.
inline IntVector nearest_integers(FloatVector numbers, IntVector offset) {
#if defined(__AVX512F__)
  return (IntVector)_mm512_maskz_cvtps_epi32(0xffff, (__m512)numbers) + offset;
#elif defined(__AVX2__)
  return (IntVector)_mm256_cvtps_epi32((__m256)numbers) + offset;
#else
  return bits_of(larger(numbers, -to_floats(offset)) + kRounding) + (offset - kRoundingBits);
#endif
}

}  // namespace
}  // namespace dino8
