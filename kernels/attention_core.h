// The core of attention for one head, softmax(q · kᵀ + bias) · v in floats, written once over the vector type `V` that
// deformable_attention_queries.h describes. A few queries at a time go through all of it, so that their scores stay in the
// first-level cache. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>
#include <limits>

#include "exponential.h"

namespace dino8 {
namespace {

// So many queries are computed together.
constexpr int64_t kQueries = 8;

// The sums of a row of a tile. Named variables in place of an array: GCC 12 keeps arrays of vectors in memory.
template <class V, int Vectors>
struct SumsOfRow {
  typename V::Type sum0 = V::broadcast(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;

  void add(const float* right, float left) {
    sum0 = V::multiply_add(V::load(right), left, sum0);
    if constexpr (Vectors > 1) sum1 = V::multiply_add(V::load(right + V::Lanes), left, sum1);
    if constexpr (Vectors > 2) sum2 = V::multiply_add(V::load(right + 2 * V::Lanes), left, sum2);
    if constexpr (Vectors > 3) sum3 = V::multiply_add(V::load(right + 3 * V::Lanes), left, sum3);
  }

  void store(float* to) const {
    V::store(to, sum0);
    if constexpr (Vectors > 1) V::store(to + V::Lanes, sum1);
    if constexpr (Vectors > 2) V::store(to + 2 * V::Lanes, sum2);
    if constexpr (Vectors > 3) V::store(to + 3 * V::Lanes, sum3);
  }
};

// out [Rows][Vectors · Lanes] = a [Rows][depth] · b [depth][Vectors · Lanes], of at most 8 rows and 4 vectors. The rows of a
// matrix are `stride` numbers apart.
template <class V, int Rows, int Vectors>
void multiply_floats(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t depth, float* out,
                     int64_t out_stride) {
  SumsOfRow<V, Vectors> row0, row1, row2, row3, row4, row5, row6, row7;
  for (int64_t k = 0; k < depth; k++, a++, b += b_stride) {
    row0.add(b, *a);
    if constexpr (Rows > 1) row1.add(b, a[a_stride]);
    if constexpr (Rows > 2) row2.add(b, a[2 * a_stride]);
    if constexpr (Rows > 3) row3.add(b, a[3 * a_stride]);
    if constexpr (Rows > 4) row4.add(b, a[4 * a_stride]);
    if constexpr (Rows > 5) row5.add(b, a[5 * a_stride]);
    if constexpr (Rows > 6) row6.add(b, a[6 * a_stride]);
    if constexpr (Rows > 7) row7.add(b, a[7 * a_stride]);
  }
  row0.store(out);
  if constexpr (Rows > 1) row1.store(out + out_stride);
  if constexpr (Rows > 2) row2.store(out + 2 * out_stride);
  if constexpr (Rows > 3) row3.store(out + 3 * out_stride);
  if constexpr (Rows > 4) row4.store(out + 4 * out_stride);
  if constexpr (Rows > 5) row5.store(out + 5 * out_stride);
  if constexpr (Rows > 6) row6.store(out + 6 * out_stride);
  if constexpr (Rows > 7) row7.store(out + 7 * out_stride);
}

// The same for any number of rows and for `columns`, a multiple of the lanes. A tile has at most Rows · Vectors sums.
template <class V, int Rows, int Vectors>
void multiply_floats_by_tiles(const float* a, int64_t a_stride, int64_t rows, const float* b, int64_t b_stride,
                              int64_t depth, int64_t columns, float* out, int64_t out_stride) {
  int64_t row = 0;
  for (; row + Rows <= rows; row += Rows) {
    const float* left = a + row * a_stride;
    float* to = out + row * out_stride;
    int64_t column = 0;
    for (; column + Vectors * V::Lanes <= columns; column += Vectors * V::Lanes)
      multiply_floats<V, Rows, Vectors>(left, a_stride, b + column, b_stride, depth, to + column, out_stride);
    if constexpr (Vectors > 3) {
      // The 48 keys before the last one of a window of 7 positions: fewer sums would wait for each other.
      if (columns - column == 3 * V::Lanes) {
        multiply_floats<V, Rows, 3>(left, a_stride, b + column, b_stride, depth, to + column, out_stride);
        continue;
      }
    }
    for (; column < columns; column += V::Lanes)
      multiply_floats<V, Rows, 1>(left, a_stride, b + column, b_stride, depth, to + column, out_stride);
  }
  if constexpr (Rows > 1) {
    if (row < rows)
      multiply_floats_by_tiles<V, Rows / 2, Vectors>(a + row * a_stride, a_stride, rows - row, b, b_stride, depth,
                                                     columns, out + row * out_stride, out_stride);
  }
}

// Adds the bias and the mask, unless it is null, to `count` scores, a multiple of the lanes. Returns the highest one of them;
// a score that is not a number counts as minus infinity.
template <class V>
float add_bias(float* scores, int64_t count, const float* bias, const float* mask) {
  typename V::Type highest = V::broadcast(-std::numeric_limits<float>::infinity());
  for (int64_t at = 0; at < count; at += V::Lanes) {
    typename V::Type sum = V::add(V::load(scores + at), V::load(bias + at));
    if (mask != nullptr) sum = V::add(sum, V::load(mask + at));
    V::store(scores + at, sum);
    highest = V::larger(sum, highest);
  }
  return V::highest_of(highest);
}

// Turns `count` scores into e^(score − most) and returns their sum.
template <class V>
float powers_of_scores(float* scores, int64_t count, float most) {
  const typename V::Type highest = V::broadcast(most);
  typename V::Type total = V::broadcast(0);
  for (int64_t at = 0; at < count; at += V::Lanes) {
    const typename V::Type power = exponential_of<V>(V::subtract(V::load(scores + at), highest));
    V::store(scores + at, power);
    total = V::add(total, power);
  }
  return V::sum_of(total);
}

// Turns a row of scores [padded] into e^(score + bias − maximum) and returns their sum. `mask` [padded] is added too, or
// null. A score that is not a number counts as minus infinity. The sum is not a number where all scores are minus infinity,
// as by the definition of softmax.
template <class V>
float exponential_row(float* scores, int64_t padded, const float* bias, const float* mask) {
  const float most = add_bias<V>(scores, padded, bias, mask);
  if (most == -std::numeric_limits<float>::infinity()) return std::numeric_limits<float>::quiet_NaN();
  return powers_of_scores<V>(scores, padded, most);
}

// One head. The queries are `query_stride` apart and are scaled already.
struct AttentionHead {
  const float* queries;  // [query_count, size]
  int64_t query_stride;
  const float* keys;    // transposed, [size, padded]; in the last `padded` − `key_count` columns are finite numbers
  const float* values;  // [key_count, padded_size], rows `value_stride` apart; numbers in its last columns do not count
  int64_t value_stride;
  const float* bias;    // [query_count, padded], minus infinity in the last columns
  int64_t bias_stride;  // between rows; 0 if all queries have the same one
  const float* const* masks;  // [query_count] rows [padded] that are added to the scores of a query too, or null
  int64_t query_count, key_count, padded, size, padded_size;
  float* scratch;  // [kQueries, padded + padded_size]
  // The last key [size] if it is alone behind whole vectors of keys, and `size` is a multiple of the lanes; or null. Its scores
  // are computed apart then, in place of those of a vector.
  const float* last_key = nullptr;
};

// Turns some rows of scores [padded] into powers and sets `inverse` to the inverses of their sums; see exponential_row.
template <class V>
void exponential_rows(const AttentionHead& head, int64_t first, int64_t rows, float* scores, float* inverse) {
  for (int64_t row = 0; row < rows; row++) {
    const int64_t query = first + row;
    inverse[row] = 1 / exponential_row<V>(scores + row * head.padded, head.padded, head.bias + query * head.bias_stride,
                                          head.masks == nullptr ? nullptr : head.masks[query]);
  }
}

// The same where the last key is apart: `scores` are those of the keys before it.
template <class V>
void exponential_rows_and_last(const AttentionHead& head, int64_t first, int64_t rows, float* scores, float* inverse) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const int64_t before = head.key_count - 1;
  float most[kQueries], last[kQueries + V::Lanes] = {}, sums[kQueries];
  for (int64_t row = 0; row < rows; row++) {
    const int64_t query = first + row;
    const float* const bias = head.bias + query * head.bias_stride;
    const float* const mask = head.masks == nullptr ? nullptr : head.masks[query];
    typename V::Type products = V::broadcast(0);
    for (int64_t at = 0; at < head.size; at += V::Lanes)
      products = V::multiply_add(V::load(head.queries + query * head.query_stride + at), V::load(head.last_key + at), products);
    last[row] = V::sum_of(products) + bias[before] + (mask == nullptr ? 0 : mask[before]);
    const float highest = add_bias<V>(scores + row * head.padded, before, bias, mask);
    most[row] = last[row] > highest ? last[row] : highest;
  }
  for (int64_t row = 0; row < rows; row++) {
    sums[row] = powers_of_scores<V>(scores + row * head.padded, before, most[row]);
    last[row] -= most[row];
  }
  for (int64_t row = 0; row < rows; row += V::Lanes) V::store(last + row, exponential_of<V>(V::load(last + row)));
  for (int64_t row = 0; row < rows; row++) {
    scores[row * head.padded + before] = last[row];
    inverse[row] = most[row] == -kInfinity ? std::numeric_limits<float>::quiet_NaN() : 1 / (sums[row] + last[row]);
  }
}

// Calls finish(query, sums, factor) for each query: the context of a query is `sums` [size] times `factor`.
template <class V, class Finish>
void attend(const AttentionHead& head, Finish finish) {
  float* const scores = head.scratch;
  float* const sums = scores + kQueries * head.padded;
  for (int64_t first = 0; first < head.query_count; first += kQueries) {
    const int64_t rows = head.query_count - first < kQueries ? head.query_count - first : kQueries;
    const int64_t columns = head.last_key == nullptr ? head.padded : head.key_count - 1;
    multiply_floats_by_tiles<V, 4, V::kColumnVectors>(head.queries + first * head.query_stride, head.query_stride, rows,
                                                      head.keys, head.padded, head.size, columns, scores, head.padded);
    float inverse[kQueries];
    if (head.last_key == nullptr) exponential_rows<V>(head, first, rows, scores, inverse);
    else exponential_rows_and_last<V>(head, first, rows, scores, inverse);
    // Where a head is narrower than a tile, more rows keep as many sums going.
    constexpr int kNarrow = V::kColumnVectors / 2;
    if (head.padded_size <= kNarrow * V::Lanes)
      multiply_floats_by_tiles<V, 8, kNarrow>(scores, head.padded, rows, head.values, head.value_stride, head.key_count,
                                              head.padded_size, sums, head.padded_size);
    else
      multiply_floats_by_tiles<V, 4, V::kColumnVectors>(scores, head.padded, rows, head.values, head.value_stride,
                                                        head.key_count, head.padded_size, sums, head.padded_size);
    for (int64_t row = 0; row < rows; row++) finish(first + row, sums + row * head.padded_size, inverse[row]);
  }
}

}  // namespace
}  // namespace dino8
