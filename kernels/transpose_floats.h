// The transpose of a matrix of floats. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "float_vector.h"

namespace dino8 {
namespace {

#if defined(__AVX512F__)
// Transposes 16 rows of 16 numbers. A round interleaves the rows of the first half with those of the second half, which
// turns the bits of a number's place by one: after four of them, rows are columns.
inline void transpose_sixteen(const float* from, int64_t stride, float* to, int64_t to_stride) {
  constexpr int kRows = 16, kHalf = kRows / 2;
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  __m512 rows[kRows], turned[kRows];
#pragma GCC unroll 16
  for (int row = 0; row < kRows; row++) rows[row] = _mm512_loadu_ps(from + row * stride);
#pragma GCC unroll 2
  for (int rounds = 0; rounds < 2; rounds++) {
#pragma GCC unroll 8
    for (int row = 0; row < kHalf; row++) {
      turned[2 * row] = _mm512_permutex2var_ps(rows[row], first, rows[row + kHalf]);
      turned[2 * row + 1] = _mm512_permutex2var_ps(rows[row], second, rows[row + kHalf]);
    }
#pragma GCC unroll 8
    for (int row = 0; row < kHalf; row++) {
      rows[2 * row] = _mm512_permutex2var_ps(turned[row], first, turned[row + kHalf]);
      rows[2 * row + 1] = _mm512_permutex2var_ps(turned[row], second, turned[row + kHalf]);
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; row++) _mm512_storeu_ps(to + row * to_stride, rows[row]);
}
#endif

inline void transpose_four(const float* from, int64_t stride, float* to, int64_t to_stride) {
  constexpr int64_t kRows = 4;
  typedef float Four __attribute__((vector_size(16)));
  Four in[kRows];
  for (int64_t row = 0; row < kRows; row++) std::memcpy(in + row, from + row * stride, sizeof(Four));
  for (int64_t row = 0; row < kRows; row++) {
    const Four out{in[0][row], in[1][row], in[2][row], in[3][row]};
    std::memcpy(to + row * to_stride, &out, sizeof out);
  }
}

// Sets `to`, whose rows are `to_stride` apart, to the numbers of `from` [rows, columns] transposed, whose rows are `stride` apart.
inline void transpose_floats(const float* from, int64_t stride, int64_t rows, int64_t columns, float* to,
                             int64_t to_stride) {
#if defined(__AVX512F__)
  constexpr int64_t kBlock = 16;
  constexpr auto transpose_block = transpose_sixteen;
#else
  constexpr int64_t kBlock = 4;
  constexpr auto transpose_block = transpose_four;
#endif
  const int64_t whole_rows = rows / kBlock * kBlock, whole_columns = columns / kBlock * kBlock;
  for (int64_t row = 0; row < whole_rows; row += kBlock)
    for (int64_t column = 0; column < whole_columns; column += kBlock)
      transpose_block(from + row * stride + column, stride, to + column * to_stride + row, to_stride);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; column++)
      to[column * to_stride + row] = from[row * stride + column];
}

}  // namespace
}  // namespace dino8
