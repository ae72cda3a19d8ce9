// The weights of both softmaxes of fusion attention, as bytes, of one head and one block of positions. Everything here is
// in an unnamed namespace; see paths/path_kernels.h.
//
// One exponential of each score serves both, power = exp(score − highest score of the position). With the factors
//
//     token factor = exp(token_bias − highest token_bias)
//     row factor = exp(highest score of the position + position_bias − highest of the block)
//     column factor = exp(highest of the block − highest of the column)
//
// a position's weights of tokens are power · token factor over their sum, and its weight for a token, relative to the
// largest one of the column, is power · row factor · column factor. Powers are exact down to e^−80. Where that is not
// enough, because a sum of powers is far below 1 or a column far below the block, and where the sum of a score and a bias
// is so large that it is rounded, as the sum with a mask is, the weights are computed from such sums.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "attention_core.h"
#include "exponential.h"
#include "float_vector.h"
#include "fusion_attention.h"
#include "packed_activation.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// The score of a column without a token.
constexpr float kNoScore = -1e30f;
// Differences of exponents up to this one keep half of the range of powers, so that what is below e^−80 does not count.
constexpr float kFarthest = 40;
constexpr float kLeastSum = 4.2483543e-18f;  // e^−40
// Scores and biases up to this magnitude are added with an error below 0.001.
constexpr float kLargestExact = 1e4f;
constexpr float kLargestByte = 255;

inline float larger(float a, float b) { return a > b ? a : b; }

inline bool is_exact(float exponent) { return std::fabs(exponent) <= kLargestExact; }

// e^x for x ≤ 0, and 0 where x is not a number or so low that products with it would be subnormal.
inline float power_or_zero(float x) { return x > -60 ? exponential(x) : 0; }

// Sets the token factors of a head, all to 0 if its biases are too large for them.
inline void token_factors(const float* bias, int64_t tokens, int64_t columns, float* to) {
  float highest = -kInfinity;
  for (int64_t token = 0; token < tokens; token++) highest = larger(bias[token], highest);
  std::fill_n(to, columns, 0.0f);
  if (!is_exact(highest)) return;
  for (int64_t token = 0; token < tokens; token++) to[token] = power_or_zero(bias[token] - highest);
}

// Sets `highest` to the highest score of each of some positions, and raises `maximum` to their scores with the biases of the
// positions. The positions go through it together, so that maxima are loaded and stored once for all of them.
template <class V, int Rows>
void add_to_maxima(const float* scores, int64_t columns, const float* bias, float* maximum, float* highest) {
  typename V::Type added[Rows], most[Rows];
#pragma GCC unroll 4
  for (int row = 0; row < Rows; row++) added[row] = V::broadcast(bias[row]), most[row] = V::broadcast(-kInfinity);
  for (int64_t at = 0; at < columns; at += V::Lanes) {
    typename V::Type raised = V::load(maximum + at);
#pragma GCC unroll 4
    for (int row = 0; row < Rows; row++) {
      const typename V::Type score = V::load(scores + row * columns + at);
      most[row] = V::larger(score, most[row]);
      raised = V::larger(V::add(score, added[row]), raised);
    }
    V::store(maximum + at, raised);
  }
#pragma GCC unroll 4
  for (int row = 0; row < Rows; row++) highest[row] = V::highest_of(most[row]);
}

// Sets `to` [Rows, columns] to the powers of some positions, and `sums` to the sums of their products with the token factors.
// The positions go through it together, since each step of an exponential waits for the one before.
template <class V, int Rows>
void powers_of(const float* scores, int64_t columns, const float* highest, const float* token_factor, float* to, float* sums) {
  typename V::Type most[Rows], total[Rows];
#pragma GCC unroll 4
  for (int row = 0; row < Rows; row++) most[row] = V::broadcast(highest[row]), total[row] = V::broadcast(0);
  for (int64_t at = 0; at < columns; at += V::Lanes) {
    const typename V::Type factor = V::load(token_factor + at);
#pragma GCC unroll 4
    for (int row = 0; row < Rows; row++) {
      const typename V::Type power = exponential_of<V>(V::subtract(V::load(scores + row * columns + at), most[row]));
      V::store(to + row * columns + at, power);
      total[row] = V::multiply_add(power, factor, total[row]);
    }
  }
#pragma GCC unroll 4
  for (int row = 0; row < Rows; row++) sums[row] = V::sum_of(total[row]);
}

// Sets the maxima of rows and columns, and the factors of both.
template <class V>
void block_factors(const float* scores, int64_t rows, int64_t columns, FusionBlock& block) {
  std::fill_n(block.maximum, columns, -kInfinity);
  block.highest = -kInfinity;
  int64_t row = 0;
  for (; row + kStepDepth <= rows; row += kStepDepth)
    add_to_maxima<V, kStepDepth>(scores + row * columns, columns, block.position_bias + row, block.maximum,
                                 block.row_maximum + row);
  for (; row < rows; row++)
    add_to_maxima<V, 1>(scores + row * columns, columns, block.position_bias + row, block.maximum, block.row_maximum + row);
  for (row = 0; row < rows; row++)
    block.highest = larger(block.row_maximum[row] + block.position_bias[row], block.highest);
  for (row = 0; row < rows; row++)
    block.row_factor[row] = power_or_zero(block.row_maximum[row] + block.position_bias[row] - block.highest);
  std::fill(block.row_factor + rows, block.row_factor + round_up(rows, kStepDepth), 0.0f);
  for (int64_t column = 0; column < columns; column++)
    block.column_factor[column] = kLargestByte / exponential(block.maximum[column] - block.highest);
}

// The weights of four positions that `block.powers` holds: for the image by the inverse of their scale, for the text as a
// step of each panel.
inline void weights_of_step(const float* token_factor, int64_t columns, const float* row_factor, const float* inverse,
                            float zero_point, int64_t panel_bytes, FusionBlock& block, uint8_t* image, int64_t image_stride,
                            int8_t* text) {
  for (int64_t column = 0; column < columns; column += kPanelColumns, text += panel_bytes) {
    IntVector bytes[kStepDepth][kPanelColumns / kFloatLanes];
    for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes) {
      const FloatVector by_token = load_floats(token_factor + column + at);
      const FloatVector by_column = load_floats(block.column_factor + column + at);
      IntVector four{}, sums = load_ints(block.text_sums + column + at);
      for (int64_t each = 0; each < kStepDepth; each++) {
        const FloatVector power = load_floats(block.powers + each * columns + column + at);
        bytes[each][at / kFloatLanes] = to_byte(power * by_token, inverse[each], zero_point);
        const FloatVector weight = smaller(power * row_factor[each] * by_column, all_floats(kLargestByte));
        const IntVector byte = bits_of(weight + kRounding) - kRoundingBits;
        sums += byte;
        four |= byte << static_cast<int>(8 * each);
      }
      four ^= static_cast<int32_t>(kHighestBits);
      std::memcpy(text + at * kStepDepth, &four, sizeof four);
      std::memcpy(block.text_sums + column + at, &sums, sizeof sums);
    }
    for (int64_t each = 0; each < kStepDepth; each++) store_bytes(image + each * image_stride + column, bytes[each]);
  }
}

// round(255 · e^x) for x ≤ 0
inline uint32_t weight_byte(float x) {
  const float shifted = exponential(x) * kLargestByte + kRounding;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  return bits - static_cast<uint32_t>(kRoundingBits);
}

// The text's weights of one panel from sums of scores and biases. Rows of scores are `stride` numbers apart.
__attribute__((noinline)) void direct_text_weights(const float* scores, int64_t stride, const float* bias, int64_t rows,
                                                   const float* maximum, int8_t* to, int32_t* sums) {
  std::fill_n(sums, kPanelColumns, 0);
  for (int64_t row = 0; row < rows; row += kStepDepth, to += kStepBytes) {
    uint32_t packed[kPanelColumns] = {};
    for (int64_t each = row; each < std::min(row + kStepDepth, rows); each++)
      for (int64_t column = 0; column < kPanelColumns; column++) {
        const uint32_t weight = weight_byte(scores[each * stride + column] + bias[each] - maximum[column]);
        sums[column] += static_cast<int32_t>(weight);
        packed[column] |= weight << (8 * (each - row));
      }
    for (uint32_t& four : packed) four ^= kHighestBits;
    std::memcpy(to, packed, sizeof packed);
  }
}

// True if the column factors of `count` columns keep the weights of the text exact.
inline bool are_near(const float* maximum, int64_t count, float highest) {
  bool near = is_exact(highest);
  for (int64_t column = 0; column < count; column++)
    near = near && is_exact(maximum[column]) && highest - maximum[column] <= kFarthest;
  return near;
}

// The weights of a block, made of `block.scores`: for the image as rows of bytes, for the text as panels of signed bytes,
// lowered by 128, with their sums. Positions that fill up the depth have no weight for the text.
template <class V>
void fusion_weights(const FusionAttention& a, const FusionOperands& operands, int64_t head, int64_t rows, int64_t depth,
                    FusionBlock& block) {
  const int64_t columns = a.columns(), first = head * columns, image_stride = a.image_depth();
  const int64_t panel_bytes = depth * kPanelColumns, written = round_up(rows, kStepDepth);
  const float* const token_factor = operands.token_factor + first;
  block_factors<V>(block.scores, rows, columns, block);
  std::fill_n(block.text_sums, columns, 0);
  for (int64_t row = 0; row < rows; row += kStepDepth) {
    const int64_t count = std::min(kStepDepth, rows - row);
    const float* const scores = block.scores + row * columns;
    uint8_t* const image = block.image_weights + row * image_stride + first;
    float totals[kStepDepth] = {}, inverse[kStepDepth] = {};
    if (count == kStepDepth)
      powers_of<V, kStepDepth>(scores, columns, block.row_maximum + row, token_factor, block.powers, totals);
    else
      for (int64_t each = 0; each < count; each++)
        powers_of<V, 1>(scores + each * columns, columns, block.row_maximum + row + each, token_factor,
                        block.powers + each * columns, totals + each);
    for (int64_t each = 0; each < count; each++) inverse[each] = 1 / (a.weights.scale * larger(totals[each], kLeastSum));
    std::fill(block.powers + count * columns, block.powers + kStepDepth * columns, 0.0f);
    weights_of_step(token_factor, columns, block.row_factor + row, inverse, static_cast<float>(a.weights.zero_point),
                    panel_bytes, block, image, image_stride, block.text_weights + row * kPanelColumns);
    for (int64_t each = 0; each < count; each++) {
      if (totals[each] >= kLeastSum) continue;
      std::copy_n(scores + each * columns, columns, block.powers);
      const float sum = exponential_row<V>(block.powers, columns, operands.token_bias + first, nullptr);
      quantize_row(block.powers, columns, {a.weights.scale * sum, a.weights.zero_point}, image + each * image_stride);
    }
  }
  for (int64_t column = 0; column < columns; column += kPanelColumns) {
    int8_t* const text = block.text_weights + column * depth;
    if (!are_near(block.maximum + column, std::min(kPanelColumns, a.tokens - column), block.highest))
      direct_text_weights(block.scores + column, columns, block.position_bias, rows, block.maximum + column, text,
                          block.text_sums + column);
    std::memset(text + written * kPanelColumns, 0x80, static_cast<size_t>((depth - written) * kPanelColumns));
  }
}

}  // namespace
}  // namespace dino8
