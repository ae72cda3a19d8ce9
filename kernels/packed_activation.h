// Activations as the second matrix of an integer product, in the panels of packed_weight.h. Everything here is in an
// unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "float_vector.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// Subtracting this from a number of uint8 makes one of int8.
constexpr int32_t kSignedOffset = 128;

// The same is done by changing their highest bits, here those of four bytes at once.
constexpr uint32_t kHighestBits = 0x80808080;

// The first `count` of four bytes.
inline uint32_t first_bytes(int64_t count) { return count >= kStepDepth ? ~0u : (1u << (8 * count)) - 1; }

// Four steps of a row.
typedef uint32_t FourSteps __attribute__((vector_size(4 * kStepDepth)));
constexpr int64_t kSquare = 4;

// Some of the numbers of a, which are the first ones, and of b. GCC has the function of Clang from version 12 on.
template <int... numbers, class Vector>
inline Vector choose(Vector a, Vector b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, numbers...);
#else
  typedef std::make_signed_t<std::decay_t<decltype(a[0])>> Index __attribute__((vector_size(sizeof(Vector))));
  return __builtin_shuffle(a, b, Index{numbers...});
#endif
}

// Four steps of four rows, `stride` bytes apart, become as many columns of four steps.
inline void pack_square(const uint8_t* from, int64_t stride, int8_t* to) {
  FourSteps rows[kSquare];
  for (int64_t row = 0; row < kSquare; row++) {
    std::memcpy(rows + row, from + row * stride, sizeof *rows);
    rows[row] ^= kHighestBits;
  }
  const FourSteps low01 = choose<0, 4, 1, 5>(rows[0], rows[1]), low23 = choose<0, 4, 1, 5>(rows[2], rows[3]);
  const FourSteps high01 = choose<2, 6, 3, 7>(rows[0], rows[1]), high23 = choose<2, 6, 3, 7>(rows[2], rows[3]);
  const FourSteps columns[kSquare] = {choose<0, 1, 4, 5>(low01, low23), choose<2, 3, 6, 7>(low01, low23),
                                    choose<0, 1, 4, 5>(high01, high23), choose<2, 3, 6, 7>(high01, high23)};
  for (int64_t step = 0; step < kSquare; step++) std::memcpy(to + step * kStepBytes, columns + step, sizeof *columns);
}

// Rows become columns of the panels: `from` has `rows` rows of `depth` bytes, `stride` apart, and up to three more bytes
// behind the last row. The rest of the panels stays as it is.
inline void pack_as_columns(const uint8_t* from, int64_t stride, int64_t rows, int64_t depth, int8_t* to) {
  const int64_t steps = (depth + kStepDepth - 1) / kStepDepth;
  const int64_t square_rows = rows / kSquare * kSquare, square_steps = depth / kStepDepth / kSquare * kSquare;
  const auto place = [=](int64_t row, int64_t step) {
    return to + ((row / kPanelColumns * steps + step) * kPanelColumns + row % kPanelColumns) * kStepDepth;
  };
  for (int64_t row = 0; row < square_rows; row += kSquare)
    for (int64_t step = 0; step < square_steps; step += kSquare)
      pack_square(from + row * stride + step * kStepDepth, stride, place(row, step));
  for (int64_t row = 0; row < rows; row++)
    for (int64_t step = row < square_rows ? square_steps : 0; step < steps; step++) {
      uint32_t four;
      std::memcpy(&four, from + row * stride + step * kStepDepth, sizeof four);
      four = (four ^ kHighestBits) & first_bytes(depth - step * kStepDepth);
      std::memcpy(place(row, step), &four, sizeof four);
    }
}

// The bytes of 16 columns, and pairs of them.
typedef uint8_t SixteenBytes __attribute__((vector_size(kPanelColumns)));
typedef uint16_t EightPairs __attribute__((vector_size(kPanelColumns)));

inline SixteenBytes load_sixteen(const uint8_t* from) {
  SixteenBytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

// Four rows of 16 columns become a step of a panel. The bytes that are not in `whole` become 0.
inline void pack_step(const uint8_t* const (&rows)[kStepDepth], int64_t column, uint32_t whole, int8_t* to) {
  const SixteenBytes a = load_sixteen(rows[0] + column), b = load_sixteen(rows[1] + column);
  const SixteenBytes c = load_sixteen(rows[2] + column), d = load_sixteen(rows[3] + column);
  const auto low = [](SixteenBytes x, SixteenBytes y) {
    return (EightPairs)choose<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(x, y);
  };
  const auto high = [](SixteenBytes x, SixteenBytes y) {
    return (EightPairs)choose<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(x, y);
  };
  const EightPairs pairs[4] = {low(a, b), low(c, d), high(a, b), high(c, d)};
  for (int half = 0; half < 2; half++) {
    const EightPairs first = pairs[2 * half], second = pairs[2 * half + 1];
    const FourSteps columns[2] = {(FourSteps)choose<0, 8, 1, 9, 2, 10, 3, 11>(first, second),
                                  (FourSteps)choose<4, 12, 5, 13, 6, 14, 7, 15>(first, second)};
    for (int part = 0; part < 2; part++) {
      const FourSteps packed = (columns[part] ^ kHighestBits) & whole;
      std::memcpy(to + (2 * half + part) * sizeof packed, &packed, sizeof packed);
    }
  }
}

// Rows stay rows: `from` has `rows` rows of `panels` · 16 bytes, `stride` apart. The panels have `steps` steps, of which those
// behind the rows stay as they are.
inline void pack_as_rows(const uint8_t* from, int64_t stride, int64_t rows, int64_t panels, int64_t steps, int8_t* to) {
  for (int64_t row = 0; row < rows; row += kStepDepth, from += kStepDepth * stride) {
    const int64_t count = rows - row;
    const uint8_t* const four[kStepDepth] = {from, count > 1 ? from + stride : from, count > 2 ? from + 2 * stride : from,
                                             count > 3 ? from + 3 * stride : from};
    for (int64_t panel = 0; panel < panels; panel++)
      pack_step(four, panel * kPanelColumns, first_bytes(count), to + (panel * steps + row / kStepDepth) * kStepBytes);
  }
}

// The sum of `count` bytes.
inline int32_t sum_of_bytes(const uint8_t* from, int64_t count) {
  int32_t sum = 0;
  int64_t at = 0;
#if defined(__SSE2__)
  __m128i parts = _mm_setzero_si128();
  for (; at + 16 <= count; at += 16)
    parts = _mm_add_epi64(parts, _mm_sad_epu8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)), _mm_setzero_si128()));
  sum = _mm_cvtsi128_si32(_mm_add_epi64(parts, _mm_unpackhi_epi64(parts, parts)));
#endif
  for (; at < count; at++) sum += from[at];
  return sum;
}

// Sets `sums` [panels · 16] to the sums of the panels' columns.
inline void sum_columns(const int8_t* from, int64_t panels, int64_t steps, int32_t* sums) {
  for (int64_t panel = 0; panel < panels; panel++, sums += kPanelColumns) {
    std::memset(sums, 0, kPanelColumns * sizeof *sums);
    for (int64_t step = 0; step < steps; step++, from += kStepBytes)
      for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes) {
        IntVector four;
        std::memcpy(&four, from + at * kStepDepth, sizeof four);
        const IntVector sum = load_ints(sums + at) + (four << 24 >> 24) + (four << 16 >> 24) + (four << 8 >> 24) + (four >> 24);
        std::memcpy(sums + at, &sum, sizeof sum);
      }
  }
}

}  // namespace
}  // namespace dino8
