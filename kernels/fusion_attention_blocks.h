// The computation of fusion attention, in blocks of positions. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "exponential.h"
#include "fusion_attention.h"
#include "fusion_weights.h"
#include "layer_norm.h"
#include "linear_layer.h"
#include "normalized_bytes.h"
#include "packed_activation.h"
#include "prefetch.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// Half of the range of bytes: what is subtracted from an unsigned byte to make a signed one.
constexpr int32_t kHalfRange = 128;

// The steps of panels that `count` numbers of each of up to four rows, `stride` apart, become.
inline void pack_step(const int8_t* from, int64_t stride, int64_t rows, int64_t count, int8_t* to) {
  for (int64_t column = 0; column < count; column++)
    for (int64_t row = 0; row < rows; row++) to[column * kStepDepth + row] = from[row * stride + column];
}

// Puts `rows` rows of `columns` numbers, `stride` apart, into panels of a depth of `depth`. What is not a number of them
// stays as it is.
inline void pack_rows(const int8_t* from, int64_t stride, int64_t rows, int64_t columns, int64_t depth, int8_t* to) {
  for (int64_t row = 0; row < rows; row += kStepDepth, from += kStepDepth * stride, to += kStepBytes) {
    const bool is_whole = rows - row >= kStepDepth;
    for (int64_t column = 0; column < columns; column += kPanelColumns) {
      int8_t* const place = to + column * depth;
      if (is_whole && columns - column >= kPanelColumns) pack_step(from + column, stride, kStepDepth, kPanelColumns, place);
      else
        pack_step(from + column, stride, std::min(kStepDepth, rows - row), std::min(kPanelColumns, columns - column), place);
    }
  }
}

inline void fusion_prepare(const FusionAttention& a, FusionOperands& to) {
  const int64_t columns = a.columns(), depth = a.depth(), stride = a.heads * a.tokens;
  std::memset(to.to_scores, 0, static_cast<size_t>(a.heads * columns * depth));
  std::memset(to.to_image, 0, static_cast<size_t>(a.image_columns() * a.image_depth()));
  std::fill_n(to.score_scale, columns, a.x_range.scale * a.to_scores.scale);
  std::fill_n(to.image_scale, a.image_columns(), a.weights.scale * a.to_image.scale);
  std::fill_n(to.zeros, columns, 0.0f);
  std::fill_n(to.score_bias, a.tokens, 0.0f);
  std::fill(to.score_bias + a.tokens, to.score_bias + columns, kNoScore);
  std::fill_n(to.token_bias, a.heads * columns, -kInfinity);
  std::fill_n(to.image_bias, a.image_columns(), 0.0f);
  std::copy(a.image_bias, a.image_bias + a.width, to.image_bias);
  for (int64_t head = 0; head < a.heads; head++) {
    pack_rows(a.to_scores.data + head * a.tokens, stride, a.width, a.tokens, depth, to.to_scores + head * columns * depth);
    // The rows of a head start at a whole step of depth, which is a piece of `kPanelColumns` numbers for each row.
    pack_rows(a.to_image.data + head * a.tokens * a.width, a.width, a.tokens, a.width, a.image_depth(),
              to.to_image + head * columns * kPanelColumns);
    std::copy(a.token_bias + head * a.tokens, a.token_bias + (head + 1) * a.tokens, to.token_bias + head * columns);
    token_factors(a.token_bias + head * a.tokens, a.tokens, columns, to.token_factor + head * columns);
  }
  sum_columns(to.to_scores, a.heads * columns / kPanelColumns, depth / kStepDepth, to.score_sums);
  sum_columns(to.to_image, a.image_columns() / kPanelColumns, a.image_depth() / kStepDepth, to.image_sums);
}

// Sets `to`, whose rows are `stride` apart, to the bytes of `from` [rows, columns] transposed, whose rows are
// `from_stride` apart.
__attribute__((noinline)) void transpose_bytes(const uint8_t* from, int64_t from_stride, int64_t rows, int64_t columns,
                                               uint8_t* to, int64_t stride) {
  constexpr int64_t kFour = 4;
  const int64_t whole_rows = rows / kFour * kFour, whole_columns = columns / kPanelColumns * kPanelColumns;
  for (int64_t column = 0; column < whole_columns; column += kPanelColumns)
    for (int64_t row = 0; row < whole_rows; row += kFour) {
      const uint8_t* const part = from + row * from_stride + column;
      uint32_t four[kPanelColumns];
      for (int64_t at = 0; at < kPanelColumns; at++)
        four[at] = static_cast<uint32_t>(part[at]) | static_cast<uint32_t>(part[at + from_stride]) << 8 |
                   static_cast<uint32_t>(part[at + 2 * from_stride]) << 16 |
                   static_cast<uint32_t>(part[at + 3 * from_stride]) << 24;
      for (int64_t at = 0; at < kPanelColumns; at++)
        std::memcpy(to + (column + at) * stride + row, four + at, sizeof *four);
    }
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; column++)
      to[column * stride + row] = from[row * from_stride + column];
}

// Pairs of bytes are added in 16 bits, which hold 128 sums of two.
__attribute__((noinline)) int32_t sum_bytes(const uint8_t* bytes, int64_t count) {
  typedef uint16_t Words __attribute__((vector_size(sizeof(IntVector))));
  constexpr int64_t kBytes = sizeof(Words), kMost = 128 * kBytes;
  IntVector sums{};
  int64_t at = 0;
  while (count - at >= kBytes) {
    Words words{};
    for (const int64_t end = std::min(count, at + kMost); at + kBytes <= end; at += kBytes) {
      Words both;
      std::memcpy(&both, bytes + at, sizeof both);
      words += (both & 255) + (both >> 8);
    }
    IntVector pairs;
    std::memcpy(&pairs, &words, sizeof pairs);
    sums += (pairs & 0xffff) + (pairs >> 16 & 0xffff);
  }
  int32_t sum = sum_of(sums);
  for (; at < count; at++) sum += bytes[at];
  return sum;
}

// Normalizes rows [Rows, width] of a norm to `image` and their bytes.
template <int Rows>
void normalize_for_fusion(const FusionAttention& a, int64_t start, float* image, uint8_t* bytes) {
  const FusionNorm& norm = a.norm;
  normalize_rows_to_bytes<Rows>(norm.rows + start * a.width, a.width, norm.scale, norm.bias, norm.epsilon, a.x_range, image,
                                bytes, a.depth());
}

// Returns `rows` rows of x from `start` on as the products of integers read them, a.depth() bytes each. With a norm, `image`
// becomes the normalized rows.
inline const uint8_t* fusion_rows(const FusionAttention& a, int64_t start, int64_t rows, float* image, uint8_t* own) {
  if (!a.has_own_x()) return a.x + start * a.width;
  const int64_t width = a.width, depth = a.depth();
  int64_t row = 0;
  if (a.norm.rows != nullptr) {
    for (; row + kNormRows <= rows; row += kNormRows)
      normalize_for_fusion<kNormRows>(a, start + row, image + row * width, own + row * depth);
    for (; row < rows; row++) normalize_for_fusion<1>(a, start + row, image + row * width, own + row * depth);
  }
  // Without a norm, these are all rows.
  for (; row < rows; row++) std::memcpy(own + row * depth, a.x + (start + row) * width, static_cast<size_t>(width));
  for (row = 0; row < rows; row++) std::memset(own + row * depth + width, 0, static_cast<size_t>(depth - width));
  return own;
}

// Sets what a block has of each of its rows of x and of each channel.
inline void fusion_load(const FusionAttention& a, const uint8_t* x, int64_t start, int64_t rows, FusionBlock& block) {
  const int64_t depth = a.depth(), whole_rows = round_up(rows, FusionAttention::kWholeDepth);
  const int32_t zero_point = a.x_range.zero_point;
  transpose_bytes(x, depth, rows, a.width, block.x_transposed, whole_rows);
  for (int64_t column = 0; column < a.width; column++) {
    uint8_t* const values = block.x_transposed + column * whole_rows;
    std::fill(values + rows, values + whole_rows, static_cast<uint8_t>(zero_point));
    block.x_sums[column] = kHalfRange * (sum_bytes(values, rows) - static_cast<int32_t>(rows) * zero_point);
  }
  const float scale = a.x_range.scale * a.to_scores.scale;
  for (int64_t row = 0; row < rows; row++) {
    const int32_t sum = sum_bytes(x + row * depth, a.width) - static_cast<int32_t>(a.width) * zero_point;
    block.score_rest[row] = static_cast<float>(a.to_scores.zero_point) * static_cast<float>(sum) * scale;
    block.position_bias[row] = a.position_bias[(start + row) * a.position_bias_stride];
  }
}

// Brings the sums of a head to the maxima of the old sums and of a block, and sets the factors of both.
__attribute__((noinline)) void raise_maxima(int64_t columns, const int32_t* weights, FusionBlock& block, float* maximum,
                                            float* total) {
  for (int64_t column = 0; column < columns; column++) {
    const float raised = larger(block.maximum[column], maximum[column]);
    block.old_factor[column] = exponential(maximum[column] - raised);
    block.new_factor[column] = exponential(block.maximum[column] - raised);
    total[column] =
        total[column] * block.old_factor[column] + static_cast<float>(weights[column]) * block.new_factor[column];
    maximum[column] = raised;
  }
}

template <class Vector, class Tile>
void fusion_head(const FusionAttention& a, const FusionOperands& operands, int64_t head, const uint8_t* x, int64_t rows,
                 bool is_first, FusionBlock& block, FusionSums& sums) {
  const int64_t columns = a.columns(), first = head * columns;
  const PackedLayer to_scores{operands.to_scores + first * a.depth(), a.depth(),            columns,
                              operands.score_sums + first,            operands.score_scale, operands.score_bias};
  linear_layer_by_rows<Tile>(
      x, rows, a.depth(), to_scores, a.x_range.zero_point,
      [columns, scores = block.scores, rest = block.score_rest](int64_t row, int64_t column, int64_t, auto results) {
        float* const to = scores + row * columns + column;
        for (int64_t at = 0; at < results.width(); at += kFloatLanes) store_floats(to + at, results.vector(at) - rest[row]);
      });
  const int64_t depth = round_up(rows, FusionAttention::kWholeDepth);
  fusion_weights<Vector>(a, operands, head, rows, depth, block);
  raise_maxima(columns, block.text_sums, block, sums.maximum + first, sums.total + first);
  for (int64_t column = 0; column < columns; column++)
    block.text_sums[column] -= kHalfRange * static_cast<int32_t>(depth);
  const PackedLayer weights{block.text_weights, depth, columns, block.text_sums, block.new_factor, operands.zeros};
  linear_layer_by_rows<Tile>(
      block.x_transposed, a.width, depth, weights, a.x_range.zero_point,
      [columns, is_first, start = sums.sums + head * a.width * columns, x_sums = block.x_sums, old_factor = block.old_factor](
          int64_t channel, int64_t column, int64_t, auto results) {
        float* const to = start + channel * columns + column;
        const auto added = [=](int64_t at) {
          return to_floats(results.sums(at) + x_sums[channel]) * load_floats(results.scale + at);
        };
        if (is_first) {
          for (int64_t at = 0; at < results.width(); at += kFloatLanes) store_floats(to + at, added(at));
        } else {
          for (int64_t at = 0; at < results.width(); at += kFloatLanes)
            store_floats(to + at, load_floats(to + at) * load_floats(old_factor + column + at) + added(at));
        }
      });
}

// The image's results of a block, from its weights. With a norm, `image` holds the normalized rows, to which they are added.
// What is added to the results afterwards is asked for, unless `addend` is null.
template <class Tile>
void fusion_image(const FusionAttention& a, const FusionOperands& operands, int64_t rows, FusionBlock& block, float* image,
                  uint8_t* bytes, const float* addend) {
  const int64_t all_columns = a.heads * a.columns(), image_depth = a.image_depth();
  const PackedLayer to_image{operands.to_image,   image_depth,          a.width,
                             operands.image_sums, operands.image_scale, operands.image_bias};
  const float scale = a.weights.scale * a.to_image.scale * static_cast<float>(a.to_image.zero_point);
  for (int64_t row = 0; row < rows; row++) {
    uint8_t* const weights = block.image_weights + row * image_depth;
    std::fill(weights + all_columns, weights + image_depth, static_cast<uint8_t>(a.weights.zero_point));
    const int64_t sum = sum_bytes(weights, image_depth) - image_depth * a.weights.zero_point;
    block.score_rest[row] = static_cast<float>(sum) * scale;
  }
  const bool has_norm = a.norm.rows != nullptr, has_bytes = bytes != nullptr;
  const float inverse = 1 / a.image_range.scale, zero_point = static_cast<float>(a.image_range.zero_point);
  const float* const rest = block.score_rest;
  const auto finish = [=](const auto& results, int64_t first, int64_t row, float* to, uint8_t* to_bytes) {
    IntVector sixteen[kPanelColumns / kFloatLanes] = {};
    for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes) {
      FloatVector result = results.vector(first + at) - rest[row];
      if (has_norm) result += load_floats(to + at);
      store_floats(to + at, result);
      if (has_bytes) sixteen[at / kFloatLanes] = to_byte(result, inverse, zero_point);
    }
    if (has_bytes) store_bytes(to_bytes, sixteen);
  };
  const int64_t width = a.width;
  linear_layer_by_rows<Tile>(block.image_weights, rows, image_depth, to_image, a.weights.zero_point,
                             [=](int64_t row, int64_t column, int64_t columns, auto results) {
                               const int64_t place = row * width + column, count = results.known_count(columns);
                               if (addend != nullptr) prefetch_row(addend + place, count);
                               int64_t at = 0;
                               for (; at + kPanelColumns <= count; at += kPanelColumns)
                                 finish(results, at, row, image + place + at, has_bytes ? bytes + place + at : nullptr);
                               if (at == count) return;
                               float few[kPanelColumns] = {};
                               uint8_t few_bytes[kPanelColumns];
                               std::copy(image + place + at, image + place + count, few);
                               finish(results, at, row, few, few_bytes);
                               std::copy(few, few + (count - at), image + place + at);
                               if (has_bytes) std::copy(few_bytes, few_bytes + (count - at), bytes + place + at);
                             });
}

// The bytes of the sum of a block's image and what is added to it.
inline void fusion_sum(const FusionAttention& a, int64_t start, int64_t rows, const float* image) {
  const FusionSum& sum = a.sum;
  uint8_t* const bytes = sum.bytes + start * a.width;
  if (sum.places == nullptr)
    return add_quantize_row(image, sum.addend + start * a.width, rows * a.width, sum.range, nullptr, bytes);
  const int64_t parts = a.width / sum.size;
  const int64_t* const places = sum.places + start * parts;
  for (int64_t part = 0; part < rows * parts; part++) {
    const int64_t at = part * sum.size;
    add_quantize_row(image + at, sum.row(places[part]), sum.size, sum.range, nullptr, bytes + at);
  }
}

template <class Vector, class Tile>
void fusion_part(const FusionAttention& a, const FusionOperands& operands, int64_t begin, int64_t end, FusionSums& sums,
                 FusionBlock& block) {
  const int64_t all_columns = a.heads * a.columns();
  std::fill_n(sums.maximum, all_columns, -kInfinity);
  std::fill_n(sums.total, all_columns, 0.0f);
  for (int64_t start = begin; start < end; start += kFusionBlock) {
    const int64_t rows = std::min(kFusionBlock, end - start);
    float* const image = a.image == nullptr ? block.image : a.image + start * a.width;
    const uint8_t* x = fusion_rows(a, start, rows, image, block.x);
    fusion_load(a, x, start, rows, block);
    for (int64_t head = 0; head < a.heads; head++)
      fusion_head<Vector, Tile>(a, operands, head, x, rows, start == begin, block, sums);
    const int64_t place = start * a.width;
    // The rows of a table are in the caches.
    const bool has_rows = a.sum.addend != nullptr && a.sum.places == nullptr;
    fusion_image<Tile>(a, operands, rows, block, image, a.image_bytes == nullptr ? nullptr : a.image_bytes + place,
                       has_rows ? a.sum.addend + place : nullptr);
    if (a.sum.addend != nullptr) fusion_sum(a, start, rows, image);
  }
}

inline void fusion_merge(const FusionAttention& a, int64_t head, const FusionSums* parts, int64_t count) {
  const int64_t columns = a.columns(), first = head * columns;
  float* const maximum = parts[0].maximum + first;
  float* const total = parts[0].total + first;
  float* const sums = parts[0].sums + first * a.width;
  for (int64_t part = 1; part < count; part++) {
    float* const other_maximum = parts[part].maximum + first;
    float* const other_total = parts[part].total + first;
    const float* const other_sums = parts[part].sums + first * a.width;
    // The maximum and the total of the other part become the factors of both.
    for (int64_t column = 0; column < columns; column++) {
      const float raised = larger(other_maximum[column], maximum[column]);
      const float old_factor = exponential(maximum[column] - raised);
      const float new_factor = exponential(other_maximum[column] - raised);
      total[column] = total[column] * old_factor + other_total[column] * new_factor;
      maximum[column] = raised;
      other_maximum[column] = new_factor;
      other_total[column] = old_factor;
    }
    for (int64_t channel = 0; channel < a.width; channel++)
      for (int64_t column = 0; column < columns; column++) {
        const int64_t at = channel * columns + column;
        sums[at] = sums[at] * other_total[column] + other_sums[at] * other_maximum[column];
      }
  }
  for (int64_t token = 0; token < a.tokens; token++) {
    const float scale = a.x_range.scale / total[token];
    float* const to = a.text + (head * a.tokens + token) * a.width;
    for (int64_t channel = 0; channel < a.width; channel++) to[channel] = sums[channel * columns + token] * scale;
  }
}

}  // namespace
}  // namespace dino8
