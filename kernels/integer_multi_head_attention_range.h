// The computation of attention of several heads with products of bytes. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <memory>

#include "cache_line.h"
#include "integer_attention_core.h"
#include "multi_head_attention.h"
#include "multi_head_attention_range.h"
#include "packed_activation.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// The memory of a task, see IntegerHead. Each part begins at a cache line.
struct IntegerHeadScratch {
  int64_t padded, key_steps, value_panels, row_bytes, bias_rows;
  bool has_bias;  // or scores that are scaled before the highest is sought, as those with a bias are
  std::unique_ptr<CacheLine[]> lines;
  uint8_t *queries, *rows, *weights;
  int8_t *keys, *values;
  int32_t *key_sums, *value_sums, *query_rest;
  float *bias, *scores;

  IntegerHeadScratch(const IntegerMultiHeadAttention& a, int64_t count, int64_t tile_rows)
      : padded(round_up(a.keys, kPanelColumns)), key_steps((a.size + kStepDepth - 1) / kStepDepth),
        value_panels((a.size + kPanelColumns - 1) / kPanelColumns), row_bytes(value_panels * kPanelColumns),
        bias_rows(a.query_stride == 0 ? 1 : count),
        // The highest score is that of the highest product only if the scale is positive, and a column without a key has no weight
        // only if its sum, kNoKey, times the scale is low enough.
        has_bias(a.batch_stride != 0 || a.head_stride != 0 || a.query_stride != 0 || a.key_stride != 0 || *a.bias != 0 ||
                 !(a.query_range.scale * a.key_range.scale * a.scale > kLowestScaleWithoutBias)) {
    const int64_t bytes[] = {count * row_bytes,
                             a.size == row_bytes ? 0 : a.keys * row_bytes,
                             tile_rows * padded,
                             padded * key_steps * kStepDepth,
                             padded * row_bytes,
                             4 * padded,
                             4 * row_bytes,
                             4 * count,
                             has_bias ? 4 * bias_rows * padded : 0,
                             4 * tile_rows * padded};
    constexpr int kParts = 10;
    int64_t starts[kParts + 1] = {};
    for (int part = 0; part < kParts; part++) starts[part + 1] = starts[part] + cache_lines(bytes[part]);
    lines.reset(new CacheLine[static_cast<size_t>(starts[kParts])]);
    const auto place = [&](int part) { return bytes_of(lines.get()) + starts[part] * 64; };
    queries = place(0), rows = place(1), weights = place(2);
    keys = reinterpret_cast<int8_t*>(place(3)), values = reinterpret_cast<int8_t*>(place(4));
    key_sums = reinterpret_cast<int32_t*>(place(5)), value_sums = reinterpret_cast<int32_t*>(place(6));
    query_rest = reinterpret_cast<int32_t*>(place(7));
    bias = reinterpret_cast<float*>(place(8)), scores = reinterpret_cast<float*>(place(9));
  }
};

// Copies `rows` rows of `size` bytes that are `stride` apart.
inline void copy_rows(const uint8_t* from, int64_t stride, int64_t rows, int64_t size, uint8_t* to, int64_t to_stride) {
  for (int64_t row = 0; row < rows; row++) std::memcpy(to + row * to_stride, from + row * stride, static_cast<size_t>(size));
}

// `offset` is what tiles subtract from each byte of a row.
inline void load_head(const IntegerMultiHeadAttention& a, int64_t head, int64_t begin, int64_t count, int32_t offset,
                      IntegerHeadScratch& scratch) {
  const int64_t image = head / a.heads, first = head % a.heads * a.size, channels = a.channels();
  const bool is_whole = a.size == scratch.row_bytes;
  // What fills up panels and rows is zero.
  std::memset(scratch.queries, 0, static_cast<size_t>(count * scratch.row_bytes));
  std::memset(scratch.rows, 0, static_cast<size_t>(is_whole ? 0 : a.keys * scratch.row_bytes));
  const int64_t key_panel_bytes = scratch.key_steps * kStepBytes, value_panel_bytes = scratch.padded * kPanelColumns;
  std::memset(scratch.keys + (scratch.padded / kPanelColumns - 1) * key_panel_bytes, 0, static_cast<size_t>(key_panel_bytes));
  constexpr int64_t kLastRows = kPanelColumns * kPanelColumns;
  for (int64_t panel = 0; panel < scratch.value_panels; panel++)
    std::memset(scratch.values + (panel + 1) * value_panel_bytes - kLastRows, 0, static_cast<size_t>(kLastRows));
  copy_rows(a.query + (image * a.queries + begin) * channels + first, channels, count, a.size, scratch.queries, scratch.row_bytes);
  // The packing reads whole panels.
  const auto load = [&](const uint8_t* all, auto pack) {
    const uint8_t* const from = all + image * a.keys * channels + first;
    if (is_whole) return pack(from, channels);
    copy_rows(from, channels, a.keys, a.size, scratch.rows, scratch.row_bytes);
    pack(scratch.rows, scratch.row_bytes);
  };
  load(a.key, [&](const uint8_t* rows, int64_t stride) { pack_as_columns(rows, stride, a.keys, a.size, scratch.keys); });
  load(a.value, [&](const uint8_t* rows, int64_t stride) {
    pack_as_rows(rows, stride, a.keys, scratch.value_panels, scratch.padded / kStepDepth, scratch.values);
  });
  sum_columns(scratch.keys, scratch.padded / kPanelColumns, scratch.key_steps, scratch.key_sums);
  sum_columns(scratch.values, scratch.value_panels, scratch.padded / kStepDepth, scratch.value_sums);
  for (int64_t key = 0; key < a.keys; key++) scratch.key_sums[key] *= offset - a.query_range.zero_point;
  std::fill(scratch.key_sums + a.keys, scratch.key_sums + scratch.padded, kNoKey);
  for (int64_t column = 0; column < scratch.row_bytes; column++) scratch.value_sums[column] *= offset;
  if (!scratch.has_bias) return;
  load_bias(a, head, begin, scratch.bias_rows, scratch.padded, scratch.bias);
  // The zero point of the keys adds the same number to all scores of a query. Softmax does not see it, but a sum with a large
  // bias, as the one of a mask, would be rounded otherwise.
  for (int64_t row = 0; row < count; row++) {
    const uint8_t* const bytes = scratch.queries + row * scratch.row_bytes;
    int32_t sum = -static_cast<int32_t>(a.size) * a.query_range.zero_point;
    for (int64_t at = 0; at < a.size; at++) sum += bytes[at];
    scratch.query_rest[row] = sum * (a.key_range.zero_point - kSignedOffset);
  }
}

// The bias of a head, see IntegerHeadScratch and NoScoreBias.
struct HeadScoreBias {
  static constexpr bool kIsAdded = true;
  static constexpr float kFactor = kInverseLn2;
  const float* rows;
  int64_t stride;  // 0 if all queries have the same one
  const int32_t* query_rest;

  int32_t rest(int64_t query) const { return query_rest[query]; }
  FloatVector add(int64_t query, int64_t key, FloatVector scores) const {
    return scores + load_floats(rows + query * stride + key);
  }
};

// See `IntegerMultiHeadAttentionRange`.
template <class Tile>
void integer_multi_head_attention_range(const IntegerMultiHeadAttention& a, int64_t head, int64_t begin, int64_t end) {
  const int64_t count = end - begin;
  IntegerHeadScratch scratch(a, count, Tile::kRows);
  load_head(a, head, begin, count, Tile::kOffset, scratch);
  const int64_t first = (head / a.heads * a.queries + begin) * a.channels() + head % a.heads * a.size;
  const float zero = static_cast<float>(a.value_range.zero_point - kSignedOffset) * a.value_range.scale;
  const float inverse = 1 / a.y_range.scale, zero_point = static_cast<float>(a.y_range.zero_point);
  const auto finish = [&, inverse, zero_point, zero](int64_t query, int64_t column, const int32_t* sums, float of_weights) {
    const float factor = a.value_range.scale * of_weights;
    const int64_t place = first + query * a.channels() + column, width = std::min(kPanelColumns, a.size - column);
    float result[kPanelColumns];
    uint8_t result_bytes[kPanelColumns];
    IntVector bytes[kPanelColumns / kFloatLanes];
    for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes) {
      const FloatVector values = to_floats(load_ints(sums + at)) * factor - zero;
      store_floats(result + at, values);
      bytes[at / kFloatLanes] = to_byte(values, inverse, zero_point);
    }
    store_bytes(result_bytes, bytes);
    if (a.y) std::copy_n(result, width, a.y + place);
    if (a.y_bytes) std::copy_n(result_bytes, width, a.y_bytes + place);
  };
  const IntegerHead all{scratch.queries,
                        scratch.row_bytes,
                        scratch.keys,
                        scratch.key_steps,
                        scratch.key_sums,
                        scratch.values,
                        scratch.value_panels,
                        scratch.value_sums,
                        a.query_range.scale * a.key_range.scale * a.scale,
                        count,
                        a.keys,
                        scratch.padded,
                        scratch.scores,
                        scratch.weights};
  const HeadScoreBias bias{scratch.bias, a.query_stride == 0 ? 0 : scratch.padded, scratch.query_rest};
  if (scratch.has_bias) attend_with_bytes<Tile>(all, bias, finish);
  else attend_with_bytes<Tile>(all, NoScoreBias{}, finish);
}

}  // namespace
}  // namespace dino8
