// The core of attention for one head with products of bytes, softmax(q · kᵀ · scale + bias) · v, for few tokens whose queries and
// keys are the same ones. The scores of a key are a row, and those of a query are a column, so that the highest score and the sum of
// the weights of a query are computed for a vector of queries at a time, without joining the numbers of a vector. The weights of
// keys are bytes relative to the largest one of a query, as in integer_attention_core.h. Everything here is in an unnamed namespace;
// see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <limits>

#include "float_vector.h"
#include "integer_tile.h"
#include "packed_weight.h"
#include "weight_bytes.h"

namespace dino8 {
namespace {

// One head. Queries, keys and values are bytes; queries and values are lowered by 128.
struct QueryColumnHead {
  int64_t tokens;
  int64_t padded;         // tokens, a multiple of kPanelColumns
  const int8_t* queries;  // the columns of panels of `steps` steps
  int64_t steps;
  const int32_t* query_sums;  // [padded]: what the sums of products of a query begin with
  const uint8_t* keys;        // [tokens, steps · 4], rows `key_stride` bytes apart
  int64_t key_stride;
  const int32_t* key_sums;  // [tokens]: what is added to all products of a key
  const int8_t* values;     // the rows of `value_panels` panels of `padded` rows
  int64_t value_panels;
  const int32_t* value_sums;  // [value_panels · 16]: what the sums of products of the values begin with
  float scale;                // of the products
  // [tokens, padded]: a row for each key, with a number for each query. Scores with their bias are exponents of two.
  const float* bias;
  const float* const* masks;  // a row [padded] for each key, which is added to its scores; or null
  float* scores;              // [tokens, columns of a tile]
  uint8_t* weights;           // [tokens / 4, columns of a tile, 4], rounded up: four keys of each query at a time
};

// The queries of `Panels` panels.
template <class Tile, int64_t Panels>
struct QueryColumns {
  static constexpr int64_t kWidth = Panels * kPanelColumns, kVectors = kWidth / kFloatLanes;

  const QueryColumnHead& head;
  int64_t first;  // query
  FloatVector highest[kVectors];

  // Sets head.scores and `highest`.
  void score() {
    constexpr int64_t kRows = Tile::kRows;
    alignas(64) int32_t sums[kRows * kWidth];
    const int64_t panel_bytes = head.steps * kStepBytes;
    for (FloatVector& each : highest) each = all_floats(-std::numeric_limits<float>::infinity());
    for (int64_t key = 0; key < head.tokens; key += kRows) {
      const int64_t rows = std::min(kRows, head.tokens - key);
      Tile().multiply(rows, Panels, head.keys + key * head.key_stride, head.key_stride,
                      head.queries + first / kPanelColumns * panel_bytes, panel_bytes, head.steps, head.query_sums + first, sums);
      if (head.masks == nullptr) score_keys<false>(key, rows, sums);
      else score_keys<true>(key, rows, sums);
    }
  }

  // The scores of `rows` keys from their products.
  template <bool has_masks>
  void score_keys(int64_t key, int64_t rows, const int32_t* sums) {
    const float scale = head.scale;
    const int32_t* key_sums = head.key_sums + key;
    const float* bias = head.bias + key * head.padded + first;
    float* to = head.scores + key * kWidth;
    const int64_t padded = head.padded;
    FloatVector most[kVectors];
    std::copy_n(highest, kVectors, most);
    for (int64_t row = 0; row < rows; row++, sums += kWidth, bias += padded, to += kWidth) {
#pragma GCC unroll 4
      for (int64_t vector = 0; vector < kVectors; vector++) {
        const int64_t at = vector * kFloatLanes;
        FloatVector score = to_floats(load_ints(sums + at) + key_sums[row]) * scale + load_floats(bias + at);
        if constexpr (has_masks) score += load_floats(head.masks[key + row] + first + at);
        most[vector] = larger(score, most[vector]);
        store_floats(to + at, score);
      }
    }
    std::copy_n(most, kVectors, highest);
  }

  // Sets head.weights, and `inverse` [kWidth] to 1 / the sums of the queries' weights; not a number where all scores are minus
  // infinity, as by the definition of softmax.
  void weigh(float* inverse) const {
    // The sums of so many steps of weights fit into 15 bits.
    constexpr int64_t kMostSteps = 64;
    const int64_t steps = head.tokens / kStepDepth;
    IntVector total[kVectors] = {};
    for (int64_t step = 0; step < steps; step += kMostSteps) weigh_steps(step, std::min(steps, step + kMostSteps), total);
    weigh_rest(steps * kStepDepth, total);
    const FloatVector none = all_floats(std::numeric_limits<float>::quiet_NaN());
    for (int64_t vector = 0; vector < kVectors; vector++) {
      const auto has_none = highest[vector] == all_floats(-std::numeric_limits<float>::infinity());
      store_floats(inverse + vector * kFloatLanes, has_none ? none : 1 / to_floats(total[vector]));
    }
  }

  // The weights of four keys at a time. Those of two keys are the halves of a number until all four are joined.
  void weigh_steps(int64_t begin, int64_t end, IntVector (&total)[kVectors]) const {
    IntVector halves[kVectors] = {};
    for (int64_t step = begin; step < end; step++) {
      const float* const from = head.scores + step * kStepDepth * kWidth;
      int32_t* const to = weights_of(step);
#pragma GCC unroll 4
      for (int64_t vector = 0; vector < kVectors; vector++) {
        FloatVector exponents[kStepDepth];
        IntVector bits[kStepDepth];
#pragma GCC unroll 4
        for (int64_t key = 0; key < kStepDepth; key++)
          exponents[key] = load_floats(from + key * kWidth + vector * kFloatLanes) - highest[vector];
        weight_bits(exponents, bits);
        const IntVector even = (bits[0] & 0xffff) | bits[2] << 16, odd = (bits[1] & 0xffff) | bits[3] << 16;
        halves[vector] += even + odd;
        store_ints(to + vector * kFloatLanes, even | odd << 8);
      }
    }
    for (int64_t vector = 0; vector < kVectors; vector++)
      total[vector] += (halves[vector] & 0xffff) + (halves[vector] >> 16 & 0xffff);
  }

  // The weights of the keys from `begin` on, fewer than four. Zeros fill up their step.
  void weigh_rest(int64_t begin, IntVector (&total)[kVectors]) const {
    if (begin == head.tokens) return;
    for (int64_t vector = 0; vector < kVectors; vector++) {
      IntVector four{};
      for (int64_t key = begin; key < head.tokens; key++) {
        IntVector bits[1];
        weight_bits({load_floats(head.scores + key * kWidth + vector * kFloatLanes) - highest[vector]}, bits);
        bits[0] &= 0xffff;
        total[vector] += bits[0];
        four |= bits[0] << static_cast<int32_t>(8 * (key - begin));
      }
      store_ints(weights_of(begin / kStepDepth) + vector * kFloatLanes, four);
    }
  }

  // The weights of four keys.
  int32_t* weights_of(int64_t step) const { return reinterpret_cast<int32_t*>(head.weights) + step * kWidth; }

  template <class Finish>
  void attend(Finish finish) const {
    constexpr int64_t kRows = Tile::kRows, kStepStride = kWidth * kStepDepth;
    alignas(64) float inverse[kWidth];
    alignas(64) int32_t sums[kRows * Tile::kPanels * kPanelColumns];
    weigh(inverse);
    const int64_t value_steps = (head.tokens + kStepDepth - 1) / kStepDepth, panel_bytes = head.padded * kPanelColumns;
    const int64_t count = std::min(kWidth, head.tokens - first);
    for (int64_t query = 0; query < count; query += kRows) {
      const int64_t rows = std::min(kRows, count - query);
      for (int64_t panel = 0; panel < head.value_panels; panel += Tile::kPanels) {
        const int64_t panels = std::min(Tile::kPanels, head.value_panels - panel), width = panels * kPanelColumns;
        Tile().multiply(rows, panels, head.weights + query * kStepDepth, kStepDepth, head.values + panel * panel_bytes, panel_bytes,
                        value_steps, head.value_sums + panel * kPanelColumns, sums, kStepStride);
        for (int64_t row = 0; row < rows; row++)
          for (int64_t at = 0; at < width; at += kPanelColumns)
            finish(first + query + row, panel * kPanelColumns + at, sums + row * width + at, inverse[query + row]);
      }
    }
  }
};

// Calls finish(query, column, sums, inverse) for each query and each panel of values, which begins at `column`: the 16 results are
// sums · inverse, of the values lowered by 128.
template <class Tile, int64_t Panels = Tile::kPanels, class Finish>
void attend_query_columns(const QueryColumnHead& head, Finish finish, int64_t first = 0) {
  for (; first + Panels * kPanelColumns <= head.padded; first += Panels * kPanelColumns) {
    QueryColumns<Tile, Panels> columns{head, first, {}};
    columns.score();
    columns.attend(finish);
  }
  if constexpr (Panels > 1) attend_query_columns<Tile, Panels - 1>(head, finish, first);
}

}  // namespace
}  // namespace dino8
