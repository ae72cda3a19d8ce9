// Activations as the second matrix of an integer product, in the panels of packed_weight.h. Everything here is in an
// unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "float_vector.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// Bytes of 0 to 255 become int8 by changing their highest bits, here of four bytes at once.
constexpr uint32_t kHighestBits = 0x80808080;

// The first `count` of four bytes.
inline uint32_t first_bytes(int64_t count) { return count >= kStepDepth ? ~0u : (1u << (8 * count)) - 1; }

// Four steps of a row.
typedef uint32_t FourSteps __attribute__((vector_size(4 * kStepDepth)));
constexpr int64_t kSquare = 4;

// Four of the steps of a, which are 0 to 3, and of b, which are 4 to 7. GCC has the function of Clang from version 12 on.
template <int... steps>
inline FourSteps choose_steps(FourSteps a, FourSteps b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, steps...);
#else
  return __builtin_shuffle(a, b, FourSteps{steps...});
#endif
}

// Four steps of four rows, `stride` bytes apart, become as many columns of four steps.
inline void pack_square(const uint8_t* from, int64_t stride, int8_t* to) {
  FourSteps rows[kSquare];
  for (int64_t row = 0; row < kSquare; row++) {
    std::memcpy(rows + row, from + row * stride, sizeof *rows);
    rows[row] ^= kHighestBits;
  }
  const FourSteps low01 = choose_steps<0, 4, 1, 5>(rows[0], rows[1]), low23 = choose_steps<0, 4, 1, 5>(rows[2], rows[3]);
  const FourSteps high01 = choose_steps<2, 6, 3, 7>(rows[0], rows[1]), high23 = choose_steps<2, 6, 3, 7>(rows[2], rows[3]);
  const FourSteps columns[kSquare] = {choose_steps<0, 1, 4, 5>(low01, low23), choose_steps<2, 3, 6, 7>(low01, low23),
                                    choose_steps<0, 1, 4, 5>(high01, high23), choose_steps<2, 3, 6, 7>(high01, high23)};
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

// Rows stay rows: `from` has `rows` rows of `panels` · 16 bytes, `stride` apart. The panels have `steps` steps, of which those
// behind the rows stay as they are.
inline void pack_as_rows(const uint8_t* from, int64_t stride, int64_t rows, int64_t panels, int64_t steps, int8_t* to) {
  for (int64_t row = 0; row < rows; row += kStepDepth, from += kStepDepth * stride) {
    const int64_t count = rows - row;
    const uint32_t whole = first_bytes(count);
    const uint8_t* row1 = count > 1 ? from + stride : from;
    const uint8_t* row2 = count > 2 ? from + 2 * stride : from;
    const uint8_t* row3 = count > 3 ? from + 3 * stride : from;
    for (int64_t panel = 0; panel < panels; panel++) {
      uint32_t four[kPanelColumns];
      for (int64_t at = 0; at < kPanelColumns; at++) {
        const int64_t column = panel * kPanelColumns + at;
        const uint32_t bytes = static_cast<uint32_t>(from[column]) | static_cast<uint32_t>(row1[column]) << 8 |
                               static_cast<uint32_t>(row2[column]) << 16 | static_cast<uint32_t>(row3[column]) << 24;
        four[at] = (bytes ^ kHighestBits) & whole;
      }
      std::memcpy(to + (panel * steps + row / kStepDepth) * kStepBytes, four, sizeof four);
    }
  }
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
