// The computation of the scores of proposals. Some rows at a time go through all of it, so that neither their features nor
// their similarities leave the processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "attention_core.h"
#include "linear_block_rows.h"
#include "normalized_bytes.h"
#include "proposal_scores.h"

namespace dino8 {
namespace {

// So many rows meet a panel of the text together.
constexpr int64_t kScoreRows = 8;

// The memory of a task.
struct ScoreRows {
  ByteRows bytes;
  int64_t stride;  // between rows of features; not a power of two, so that rows do not share a few places of a cache
  std::unique_ptr<CacheLine[]> lines;
  float *features, *sums, *part, *best;

  ScoreRows(const ProposalScores& p, int64_t rows) : bytes(rows, p.layer.depth, 1), stride(round_up(p.layer.columns, 16) + 16) {
    constexpr int64_t kSums = kScoreRows * kTextColumns;
    lines.reset(new CacheLine[static_cast<size_t>((rows * stride + 2 * kSums + rows * kFloatLanes) / 16 + 1)]);
    features = floats_of(lines.get()), sums = features + rows * stride, part = sums + kSums, best = part + kSums;
  }
};

// Sets `features` to the normalized results of the layer.
template <class Tile>
__attribute__((noinline)) void score_features(const ProposalScores& p, int64_t rows, const ScoreRows& scratch) {
  linear_layer_by_rows<Tile>(scratch.bytes.row(0), rows, scratch.bytes.stride, p.layer, p.input.zero_point,
                             [=, to = scratch.features, stride = scratch.stride](
                                 int64_t row, int64_t column, int64_t count, auto results) {
                               results.store(to + row * stride + column, count);
                             });
  for (int64_t row = 0; row < rows; row++) {
    float* const feature = scratch.features + row * scratch.stride;
    normalize_as_runtime(feature, p.layer.columns, p.norm_scale, p.norm_bias, p.norm_epsilon, feature);
  }
}

// Sets scratch.sums to the similarities of up to 8 rows of features with a panel of the text that has `columns` columns.
template <class Vector>
__attribute__((noinline)) void score_panel(const ProposalScores& p, const float* features, int64_t rows, const float* panel, int64_t columns,
                 const ScoreRows& scratch) {
  const int64_t width = p.layer.columns;
  for (int64_t term = 0; term < width; term += p.terms) {
    multiply_floats_by_tiles<Vector, 4, Vector::kColumnVectors>(
        features + term, scratch.stride, rows, panel + term * columns, columns, std::min(p.terms, width - term), columns,
        term == 0 ? scratch.sums : scratch.part, columns);
    if (term == 0) continue;
    for (int64_t at = 0; at < rows * columns; at += kFloatLanes)
      store_floats(scratch.sums + at, load_floats(scratch.sums + at) + load_floats(scratch.part + at));
  }
}

// Raises the best score of each of some rows, in as many parts as a vector has numbers.
inline void raise_best(const float* mask, int64_t rows, int64_t columns, const float* sums, float* best) {
  for (int64_t row = 0; row < rows; row++, sums += columns, best += kFloatLanes) {
    FloatVector highest = load_floats(best);
    for (int64_t at = 0; at < columns; at += kFloatLanes)
      highest = larger(load_floats(sums + at) + load_floats(mask + at), highest);
    store_floats(best, highest);
  }
}

// Calls finish(row, score) for the first `rows` rows of scratch.bytes.
template <class Vector, class Tile, class Finish>
void score_rows(const ProposalScores& p, int64_t rows, const ScoreRows& scratch, Finish finish) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  score_features<Tile>(p, rows, scratch);
  std::fill_n(scratch.best, rows * kFloatLanes, kLowest);
  for (int64_t column = 0; column < p.tokens; column += kTextColumns) {
    const int64_t columns = std::min(kTextColumns, p.tokens - column);
    for (int64_t row = 0; row < rows; row += kScoreRows) {
      const int64_t some = std::min(kScoreRows, rows - row);
      score_panel<Vector>(p, scratch.features + row * scratch.stride, some, p.text + column * p.layer.columns, columns, scratch);
      raise_best(p.mask + column, some, columns, scratch.sums, scratch.best + row * kFloatLanes);
    }
  }
  for (int64_t row = 0; row < rows; row++) {
    const float score = largest_of(load_floats(scratch.best + row * kFloatLanes));
    // A similarity that is not a number counts as minus infinity. Where the features are not numbers, none is.
    const float* const features = scratch.features + row * scratch.stride;
    const bool is_none = score == kLowest && std::any_of(features, features + p.layer.columns, [](float x) { return std::isnan(x); });
    finish(row, is_none ? std::numeric_limits<float>::quiet_NaN() : score);
  }
}

template <class Vector, class Tile>
float proposal_score_of_zeros(const ProposalScores& p) {
  const ScoreRows scratch(p, 1);
  std::fill_n(scratch.bytes.row(0), p.layer.depth, static_cast<uint8_t>(p.input.zero_point));
  float found = 0;
  score_rows<Vector, Tile>(p, 1, scratch, [&](int64_t, float score) { found = score; });
  return found;
}

template <class Vector, class Tile>
void proposal_scores_rows(const ProposalScores& p, int64_t begin, int64_t end) {
  const int64_t depth = p.layer.depth;
  const ScoreRows scratch(p, std::min(Tile::kRowsAtATime, end - begin));
  int64_t places[Tile::kRowsAtATime];
  for (int64_t next = begin; next < end;) {
    int64_t rows = 0;
    for (; next < end && rows < Tile::kRowsAtATime; next++) {
      if (next + Tile::kRowsAtATime < end) prefetch_row(p.x + (next + Tile::kRowsAtATime) * depth, depth);
      if (p.valid[next] == 0) {
        p.y[next] = p.score_of_zeros;
        continue;
      }
      quantize_as_runtime(p.x + next * depth, depth, p.input, scratch.bytes.row(rows));
      places[rows++] = next;
    }
    score_rows<Vector, Tile>(p, rows, scratch, [&](int64_t row, float score) { p.y[places[row]] = score; });
  }
}

}  // namespace
}  // namespace dino8
