// The core of attention for one head with products of bytes, softmax(q · kᵀ · scale + bias) · v. The weights of keys are bytes
// relative to the largest one of a query, round(255 · e^(score − highest score)), whose sum divides the result: small weights do
// not vanish where there are many keys. As many queries as a tile has rows go through all of it, so that their scores stay in the
// first-level cache. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "exponential.h"
#include "float_vector.h"
#include "integer_tile.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// The initial sum of columns without a key: no difference of two scores is as large (kMostHeadSize).
constexpr int32_t kNoKey = -(1 << 30);

// One head. Queries, keys and values are those of multi_head_attention.h; keys and values are lowered by 128.
struct IntegerHead {
  const uint8_t* queries;  // [query_count, key_steps · 4], rows `query_stride` bytes apart
  int64_t query_stride;
  const int8_t* keys;  // the columns of panels of `key_steps` steps
  int64_t key_steps;
  const int32_t* key_sums;  // [padded]: what the sums of products of a key begin with, and kNoKey
  const int8_t* values;     // the rows of `value_panels` panels of `padded` rows
  int64_t value_panels;
  const int32_t* value_sums;  // [value_panels · 16]: the same for the values
  const int32_t* query_rest;  // [query_count]: what is subtracted from all products of a query, where there is a bias
  float scale;                // of the products
  const float* bias;          // [query_count, padded], minus infinity where there is no key; null for none
  int64_t bias_stride;        // between rows; 0 if all queries have the same one
  int64_t query_count, padded;  // keys, a multiple of kPanelColumns
  float* scores;                // [rows of a tile, padded]
  uint8_t* weights;             // [rows of a tile, padded]
};

// round(255 · 2^x) for x ≤ 0, with a polynomial of degree 3 for the fraction, whose relative error is below 1.1e-4. It is 0 where
// x is not a number.
inline IntVector weight_bytes(FloatVector x) {
  constexpr float kLowest = -100;
  x = larger(x, all_floats(kLowest));
  const FloatVector shifted = x + kRounding, r = x - (shifted - kRounding);
  FloatVector p = multiply_add(all_floats(0.05500848f * 255), r, all_floats(0.24221012f * 255));
  p = multiply_add(p, r, all_floats(0.69328288f * 255));
  p = multiply_add(p, r, all_floats(255));
  const IntVector bits = bits_of(p) + (bits_of(shifted) << 23);
  FloatVector weight;
  std::memcpy(&weight, &bits, sizeof weight);
  return bits_of(weight + kRounding) - kRoundingBits;
}

// Sets `bytes` [padded] to the weights of a row of scores. `scale` is that of the scores, whose highest is `highest`. Returns
// the sum of the weights.
inline int32_t weigh_scores(const float* scores, int64_t padded, float scale, float highest, uint8_t* bytes) {
  const float factor = scale * kInverseLn2;
  const FloatVector most = all_floats(highest);
  IntVector total{};
  for (int64_t at = 0; at < padded; at += kPanelColumns) {
    IntVector sixteen[kPanelColumns / kFloatLanes];
    for (int64_t lane = 0; lane < kPanelColumns; lane += kFloatLanes) {
      const IntVector weights = weight_bytes((load_floats(scores + at + lane) - most) * factor);
      total += weights;
      sixteen[lane / kFloatLanes] = weights;
    }
    store_bytes(bytes + at, sixteen);
  }
  return sum_of(total);
}

// Calls finish(query, column, sums, total) for each query and each panel of values, which begins at `column`: the 16 results are
// sums / total, of the values lowered by 128. `total` is not a number where all scores are minus infinity, as by the definition
// of softmax.
template <class Tile, bool has_bias, class Finish>
void attend_with_bytes(const IntegerHead& head, Finish finish) {
  constexpr int64_t kRows = Tile::kRows, kWidth = Tile::kPanels * kPanelColumns;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  alignas(64) int32_t sums[kRows * kWidth];
  const int64_t panels = head.padded / kPanelColumns, panel_bytes = head.key_steps * kStepBytes;
  const Tile tile{};
  for (int64_t first = 0; first < head.query_count; first += kRows) {
    const int64_t rows = std::min(kRows, head.query_count - first);
    const uint8_t* const queries = head.queries + first * head.query_stride;
    FloatVector highest[kRows];
    for (FloatVector& each : highest) each = all_floats(-kInfinity);
    for (int64_t panel = 0; panel < panels; panel += Tile::kPanels) {
      const int64_t some_panels = std::min(Tile::kPanels, panels - panel), width = some_panels * kPanelColumns;
      const int64_t column = panel * kPanelColumns;
      tile.multiply(rows, some_panels, queries, head.query_stride, head.keys + panel * panel_bytes, panel_bytes,
                    head.key_steps, head.key_sums + column, sums);
      for (int64_t row = 0; row < rows; row++) {
        float* const to = head.scores + row * head.padded + column;
        FloatVector most = highest[row];
        for (int64_t at = 0; at < width; at += kFloatLanes) {
          IntVector products = load_ints(sums + row * width + at);
          if constexpr (has_bias) products -= head.query_rest[first + row];
          FloatVector score = to_floats(products);
          if constexpr (has_bias)
            score = score * head.scale + load_floats(head.bias + (first + row) * head.bias_stride + column + at);
          most = larger(score, most);
          store_floats(to + at, score);
        }
        highest[row] = most;
      }
    }
    float totals[kRows];
    for (int64_t row = 0; row < rows; row++) {
      const float most = largest_of(highest[row]);
      const int32_t total = weigh_scores(head.scores + row * head.padded, head.padded, has_bias ? 1 : head.scale, most,
                                         head.weights + row * head.padded);
      totals[row] = most == -kInfinity ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(total);
    }
    for (int64_t panel = 0; panel < head.value_panels; panel += Tile::kPanels) {
      const int64_t some_panels = std::min(Tile::kPanels, head.value_panels - panel), width = some_panels * kPanelColumns;
      tile.multiply(rows, some_panels, head.weights, head.padded, head.values + panel * head.padded * kPanelColumns,
                    head.padded * kPanelColumns, head.padded / kStepDepth, head.value_sums + panel * kPanelColumns, sums);
      for (int64_t row = 0; row < rows; row++)
        for (int64_t at = 0; at < width; at += kPanelColumns)
          finish(first + row, panel * kPanelColumns + at, sums + row * width + at, totals[row]);
    }
  }
}

}  // namespace
}  // namespace dino8
