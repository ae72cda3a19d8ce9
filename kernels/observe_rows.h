// The computation of Observe, as plain loops that every compiler turns into vector instructions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "observe.h"

namespace dino8 {
namespace {

constexpr int64_t kObserveLanes = 64;

// A value of one channel is treated as rows of kObserveLanes channels, which are joined at the end.
void fold_rows(const float* __restrict x, int64_t rows, int64_t channels, float limit, float* __restrict lowest,
               float* __restrict highest, float* __restrict sum) {
  for (int64_t row = 0; row < rows; row++, x += channels)
    for (int64_t c = 0; c < channels; c++) {
      const float value = x[c];
      const bool counts = std::fabs(value) <= limit;  // false for a NaN
      const float low = counts ? value : std::numeric_limits<float>::infinity();
      const float high = counts ? value : -std::numeric_limits<float>::infinity();
      lowest[c] = low < lowest[c] ? low : lowest[c];
      highest[c] = high > highest[c] ? high : highest[c];
      sum[c] += counts ? value : 0.0f;
    }
}

void observe_extremes(const ObservedRows& in, float* lowest, float* highest, double* sum) {
  // The sum of this many rows still fits a float well; the sums of such blocks are added as doubles.
  constexpr int64_t kRowsAtOnce = 64;
  constexpr int64_t kChannelsAtOnce = 512;
  float partial[kChannelsAtOnce];
  if (in.channels == 1) {
    float low[kObserveLanes], high[kObserveLanes];
    std::fill(low, low + kObserveLanes, lowest[0]);
    std::fill(high, high + kObserveLanes, highest[0]);
    int64_t start = 0;
    while (start < in.rows) {
      const bool whole = in.rows - start >= kObserveLanes;
      const int64_t lanes = whole ? kObserveLanes : in.rows - start;
      const int64_t rows = whole ? std::min((in.rows - start) / kObserveLanes, kRowsAtOnce) : 1;
      std::fill(partial, partial + lanes, 0.0f);
      fold_rows(in.x + start, rows, lanes, in.limit, low, high, partial);
      for (int64_t lane = 0; lane < lanes; lane++) sum[0] += partial[lane];
      start += rows * lanes;
    }
    for (int64_t lane = 0; lane < kObserveLanes; lane++) {
      lowest[0] = std::min(lowest[0], low[lane]);
      highest[0] = std::max(highest[0], high[lane]);
    }
    return;
  }
  for (int64_t row = 0; row < in.rows; row += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, in.rows - row);
    for (int64_t first = 0; first < in.channels; first += kChannelsAtOnce) {
      const int64_t some = std::min(kChannelsAtOnce, in.channels - first);
      std::fill(partial, partial + some, 0.0f);
      if (some == in.channels) {
        fold_rows(in.x + row * in.channels, rows, some, in.limit, lowest, highest, partial);
      } else {
        for (int64_t r = 0; r < rows; r++)
          fold_rows(in.x + (row + r) * in.channels + first, 1, some, in.limit, lowest + first, highest + first,
                    partial);
      }
      for (int64_t c = 0; c < some; c++) sum[first + c] += partial[c];
    }
  }
}

// Counts neighbouring elements in different tables.
template <int Tables>
void count_into(const ObservedRows& in, float inverse_width, int32_t (*tables)[kCounters]) {
  constexpr int64_t kAtOnce = 512;
  static_assert(kAtOnce % Tables == 0, "a block is split evenly among the tables");
  int32_t bins[kAtOnce];
  const int64_t total = in.rows * in.channels;
  for (int64_t start = 0; start < total; start += kAtOnce) {
    const int64_t some = std::min(kAtOnce, total - start);
    const float* x = in.x + start;
    for (int64_t i = 0; i < some; i++) {
      const bool counts = std::fabs(x[i]) <= in.limit;
      const float bin = counts ? std::floor(x[i] * inverse_width) : static_cast<float>(kBinsPerSide);
      // The caller's bins hold every element that counts. What they do not hold is counted as left out, and a NaN as lowest.
      const float above = bin > -kBinsPerSide ? bin : static_cast<float>(-kBinsPerSide);
      const float scaled = above < kBinsPerSide ? above : static_cast<float>(kBinsPerSide);
      bins[i] = static_cast<int32_t>(scaled) + static_cast<int32_t>(kBinsPerSide);
    }
    int64_t i = 0;
    for (; i + Tables <= some; i += Tables)
      for (int table = 0; table < Tables; table++) tables[table][bins[i + table]]++;
    for (; i < some; i++) tables[0][bins[i]]++;
  }
}

void observe_histogram(const ObservedRows& in, float inverse_width, int32_t* counters) {
  // Neighbouring elements are often equal. They are counted in different tables, so that one increment does not wait
  // for the other. For a small value the tables would cost more than the waiting.
  constexpr int kTables = 4;
  constexpr int64_t kWorthwhile = 1 << 15;
  if (in.rows * in.channels < kWorthwhile)
    return count_into<1>(in, inverse_width, reinterpret_cast<int32_t (*)[kCounters]>(counters));
  int32_t tables[kTables][kCounters] = {};
  count_into<kTables>(in, inverse_width, tables);
  for (int table = 0; table < kTables; table++)
    for (int64_t bin = 0; bin < kCounters; bin++) counters[bin] += tables[table][bin];
}

}  // namespace
}  // namespace dino8
