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
#include "weight_bytes.h"

namespace dino8 {
namespace {

// The initial sum of columns without a key: no difference of two scores is as large (kMostHeadSize).
constexpr int32_t kNoKey = -(1 << 30);

// One head. Queries, keys and values are bytes; keys and values are lowered by 128.
struct IntegerHead {
  const uint8_t* queries;  // [query_count, key_steps · 4], rows `query_stride` bytes apart
  int64_t query_stride;
  const int8_t* keys;  // the columns of panels of `key_steps` steps
  int64_t key_steps;
  const int32_t* key_sums;  // [padded]: what the sums of products of a key begin with, and kNoKey
  const int8_t* values;     // the rows of `value_panels` panels of `padded` rows
  int64_t value_panels;
  const int32_t* value_sums;  // [value_panels · 16]: the same for the values
  float scale;                // of the products
  int64_t query_count, key_count;
  int64_t padded;    // keys, a multiple of kPanelColumns
  float* scores;     // [rows of a tile, padded]
  uint8_t* weights;  // [rows of a tile, padded]
};

// The products of an attention without a bias are scaled by more than this: the score of a column without a key is then at least 80
// below that of any key (kMostHeadSize), so that its weight is 0.
constexpr float kLowestScaleWithoutBias = 1e-7f;

// An attention without a bias. Its scores are not scaled before the highest one is sought, since their order is the same.
struct NoScoreBias {
  static constexpr bool kIsAdded = false;
};

// Sets `bytes` to the weights of `count` scores of a query, a multiple of kPanelColumns. The scores times `factor` are exponents of
// two, and `highest` is the highest score. Returns the sums of the weights, in as many parts as a vector has numbers.
inline IntVector weigh_scores(const float* scores, int64_t count, float factor, float highest, uint8_t* bytes) {
  const FloatVector most = all_floats(highest);
  IntVector total{};
  for (int64_t at = 0; at < count; at += kPanelColumns) {
    constexpr int64_t kVectors = kPanelColumns / kFloatLanes;
    FloatVector exponents[kVectors];
    IntVector weights[kVectors];
    for (int64_t each = 0; each < kVectors; each++)
      exponents[each] = (load_floats(scores + at + each * kFloatLanes) - most) * factor;
    weight_bits(exponents, weights);
    for (IntVector& each : weights) {
      each -= kRoundingBits;
      total += each;
    }
    store_bytes(bytes + at, weights);
  }
  return total;
}

// The highest scores of some queries, and the sums of their weights.
template <class Tile>
struct QueryScores {
  static constexpr int64_t kRows = Tile::kRows;
  FloatVector highest_parts[kRows];  // the highest of the scores at the same place of a vector
  IntVector total_parts[kRows];
  float highest[kRows];
  int32_t total[kRows];
};

// Sets head.weights to the weights of the keys of `rows` queries. Each step is taken for all of them before the next one, since a
// query's steps wait for each other.
template <class Tile>
void weigh_keys(const IntegerHead& head, int64_t rows, float factor, QueryScores<Tile>& queries) {
  for (int64_t row = 0; row < rows; row++) queries.highest[row] = largest_of(queries.highest_parts[row]);
  for (int64_t row = 0; row < rows; row++)
    queries.total_parts[row] =
        weigh_scores(head.scores + row * head.padded, head.padded, factor, queries.highest[row], head.weights + row * head.padded);
  for (int64_t row = 0; row < rows; row++) queries.total[row] = sum_of(queries.total_parts[row]);
}

// Calls finish(query, column, sums, inverse) for each query and each panel of values, which begins at `column`: the 16 results are
// sums · inverse, of the values lowered by 128. `inverse` is not a number where all scores are minus infinity, as by the definition
// of softmax. A type `Bias` has
// - add(query, key, scores), the scores of a query and a vector of keys with their bias, minus infinity where there is no key;
// - rest(query), which is subtracted from all products of a query;
// - kFactor: scores times this number are exponents of two.
template <class Tile, class Bias, class Finish>
void attend_with_bytes(const IntegerHead& head, const Bias& bias, Finish finish) {
  constexpr int64_t kRows = Tile::kRows, kWidth = Tile::kPanels * kPanelColumns;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  alignas(64) int32_t sums[kRows * kWidth];
  const int64_t panels = head.padded / kPanelColumns, panel_bytes = head.key_steps * kStepBytes;
  const int64_t value_steps = (head.key_count + kStepDepth - 1) / kStepDepth;
  const Tile tile{};
  QueryScores<Tile> queries;
  for (int64_t first = 0; first < head.query_count; first += kRows) {
    const int64_t rows = std::min(kRows, head.query_count - first);
    for (FloatVector& each : queries.highest_parts) each = all_floats(-kInfinity);
    for (int64_t panel = 0; panel < panels; panel += Tile::kPanels) {
      const int64_t some_panels = std::min(Tile::kPanels, panels - panel), width = some_panels * kPanelColumns;
      const int64_t column = panel * kPanelColumns;
      tile.multiply(rows, some_panels, head.queries + first * head.query_stride, head.query_stride,
                    head.keys + panel * panel_bytes, panel_bytes, head.key_steps, head.key_sums + column, sums);
      for (int64_t row = 0; row < rows; row++) {
        float* const to = head.scores + row * head.padded + column;
        FloatVector most = queries.highest_parts[row];
        for (int64_t at = 0; at < width; at += kFloatLanes) {
          IntVector products = load_ints(sums + row * width + at);
          if constexpr (Bias::kIsAdded) products -= bias.rest(first + row);
          FloatVector score = to_floats(products);
          if constexpr (Bias::kIsAdded) score = bias.add(first + row, column + at, score * head.scale);
          most = larger(score, most);
          store_floats(to + at, score);
        }
        queries.highest_parts[row] = most;
      }
    }
    if constexpr (Bias::kIsAdded) weigh_keys<Tile>(head, rows, Bias::kFactor, queries);
    else weigh_keys<Tile>(head, rows, head.scale * kInverseLn2, queries);
    float inverse[kRows];
    for (int64_t row = 0; row < rows; row++)
      inverse[row] = queries.highest[row] == -kInfinity ? std::numeric_limits<float>::quiet_NaN()
                                                        : 1 / static_cast<float>(queries.total[row]);
    for (int64_t panel = 0; panel < head.value_panels; panel += Tile::kPanels) {
      const int64_t some_panels = std::min(Tile::kPanels, head.value_panels - panel), width = some_panels * kPanelColumns;
      tile.multiply(rows, some_panels, head.weights, head.padded, head.values + panel * head.padded * kPanelColumns,
                    head.padded * kPanelColumns, value_steps, head.value_sums + panel * kPanelColumns, sums);
      for (int64_t row = 0; row < rows; row++)
        for (int64_t at = 0; at < width; at += kPanelColumns)
          finish(first + row, panel * kPanelColumns + at, sums + row * width + at, inverse[row]);
    }
  }
}

}  // namespace
}  // namespace dino8
