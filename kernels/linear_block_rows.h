// The computation of a block of linear layers. Some rows at a time go through all of it, so that what is between the
// layers stays in the processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <memory>

#include "cache_line.h"
#include "gelu_to_bytes.h"
#include "layer_norm.h"
#include "linear_block.h"
#include "linear_layer.h"
#include "prefetch.h"
#include "quantize_rows.h"
#include "residual_sum.h"
#include "moments_so_far.h"

namespace dino8 {
namespace {

struct ByteRows {
  std::unique_ptr<CacheLine[]> lines;
  int64_t stride = 0;

  // `unused` cache lines follow each row.
  ByteRows(int64_t rows, int64_t columns, int64_t unused)
      : lines(new CacheLine[static_cast<size_t>(rows * (cache_lines(columns) + unused))]),
        stride((cache_lines(columns) + unused) * 64) {}
  uint8_t* row(int64_t index) const { return bytes_of(lines.get()) + index * stride; }
};

// Floats that begin at a cache line.
struct Floats {
  std::unique_ptr<CacheLine[]> lines;

  explicit Floats(int64_t count)
      : lines(new CacheLine[static_cast<size_t>(cache_lines(count * static_cast<int64_t>(sizeof(float))))]) {}
  float* get() const { return floats_of(lines.get()); }
};

// A quantization without an activation function before it; see GeluToBytes.
class FloatsToBytes {
 public:
  static constexpr ZeroPointPlace kZeroPointPlace = ZeroPointPlace::kSums;
  explicit FloatsToBytes(ByteRange range) : inverse_(1 / range.scale), zero_point_(static_cast<float>(range.zero_point)) {}

  template <int Count>
  void operator()(const FloatVector (&x)[Count], uint8_t* to) const {
    store_as_bytes(to, x, inverse_, zero_point_);
  }

 private:
  float inverse_, zero_point_;
};

// The first of two layers, with the activation function and the quantization behind it.
template <class Tile, class ToBytes>
void layer_to_bytes(const uint8_t* from, int64_t rows, int64_t stride, const PackedLayer& layer, int32_t zero_point,
                    const ToBytes& to_bytes, const ByteRows& to) {
  linear_layer_by_rows<Tile, ToBytes::kZeroPointPlace>(
      from, rows, stride, layer, zero_point,
      [&to_bytes, start = to.row(0), to_stride = to.stride](int64_t row, int64_t column, int64_t, auto results) {
        take_vectors(results.width(), [&, place = start + row * to_stride + column](auto vectors, int64_t at) {
          constexpr int kCount = vectors;
          FloatVector x[kCount];
#pragma GCC unroll 4
          for (int each = 0; each < kCount; each++) x[each] = results.vector(at + each * kFloatLanes);
          to_bytes(x, place + at);
        });
      });
}

// The last layer, with the residual sum behind it: `to` and, unless it is null, `residual` are [rows, layer.columns]. The
// processor loads `read_next` [rows, layer.columns] into its caches meanwhile, unless it is null.
template <class Tile>
void layer_to_floats(const uint8_t* from, int64_t rows, int64_t stride, const PackedLayer& layer, ByteRange input,
                     const float* residual, const ResidualSum& sum, const float* read_next, float* to) {
  linear_layer_by_rows<Tile>(from, rows, stride, layer, input.zero_point,
                             [=, columns = layer.columns](int64_t row, int64_t column, int64_t count, auto results) {
                               const int64_t place = row * columns + column;
                               if (read_next) prefetch_row(read_next + place, count);
                               if (residual) sum.store(residual + place, count, results, to + place);
                               else results.store(to + place, count);
                             });
}

// The same with a residual, for columns that are a multiple of 16. The moments of the sums are added to `moments` [rows].
template <class Tile>
void layer_to_floats_and_moments(const uint8_t* from, int64_t rows, int64_t stride, const PackedLayer& layer, ByteRange input,
                                 const float* residual, const ResidualSum& sum, const float* read_next, float* to,
                                 MomentsSoFar* moments) {
  linear_layer_by_rows<Tile>(from, rows, stride, layer, input.zero_point,
                             [=, columns = layer.columns](int64_t row, int64_t column, int64_t count, auto results) {
                               const int64_t place = row * columns + column;
                               if (read_next) prefetch_row(read_next + place, count);
                               sum.store(residual + place, count, results, to + place, column, moments[row]);
                             });
}

// Normalizes `rows` sums with the residual if the norm is behind the layers. `moments` [rows] are theirs, or null.
inline void normalize_sums(const LinearBlock& block, int64_t rows, const MomentsSoFar* moments, float* y) {
  const int64_t columns = block.last().columns;
  if (block.has_norm_before) return;
  if (moments) layer_norms_by(moments, rows, columns, block.norm_scale, block.norm_bias, block.norm_epsilon, y);
  else layer_norms(y, rows, columns, block.norm_scale, block.norm_bias, block.norm_epsilon, y);
}

// Adds a row of the residual to a row of the result of the layers, y, and normalizes the sum if the norm is behind the layers.
__attribute__((noinline)) void add_residual(const LinearBlock& block, const float* residual, float* y) {
  ResidualSum(block.rounding).add(residual, block.last().columns, y);
  normalize_sums(block, 1, nullptr, y);
}

// True if the moments of a block's results can be added up while these are in registers.
template <class Tile>
bool adds_moments(const LinearBlock& block) {
  return Tile::kKeepsSums && block.residual && !block.row_scale && !block.has_norm_before &&
         block.last().columns % kPanelColumns == 0;
}

// What lies between the steps of a block for some rows.
struct BlockMemory {
  ByteRows quantized, between;
  Floats normalized, results;
  // The moments of the results of each row, or null where they are not added up; see `adds_moments`.
  std::unique_ptr<MomentsSoFar[]> moments;

  BlockMemory(const LinearBlock& block, int64_t rows, bool adds_moments)
      : quantized(block.bytes ? 0 : rows, block.first.depth, 0),
        // Rows whose distance is a power of two would share a few places of the first-level cache.
        between(block.has_second ? rows : 0, block.second.depth, 1),
        normalized(block.has_norm_before ? kNormRows * block.first.depth : 0),
        results(block.y ? 0 : rows * block.last().columns),
        moments(adds_moments ? new MomentsSoFar[static_cast<size_t>(rows)] : nullptr) {}
};

// Takes `rows` rows through a block. The processor loads what is read of the `next` rows into its caches meanwhile.
template <class Tile>
void some_rows(const LinearBlock& block, int64_t rows, int64_t next, const BlockMemory& memory) {
  const int64_t depth = block.first.depth, columns = block.last().columns;
  const ResidualSum sum(block.rounding);
  const ByteRows &quantized = memory.quantized, &between = memory.between;
  float* const y = block.y ? block.y : memory.results.get();
  MomentsSoFar* const moments = memory.moments.get();
  if (moments) std::fill_n(moments, rows, MomentsSoFar());
  const uint8_t* input = block.x ? quantized.row(0) : block.bytes;
  const int64_t stride = block.x ? quantized.stride : depth;
  if (block.x)
    for (int64_t row = 0; row < rows; row += kNormRows) {
      const float* x = block.x + row * depth;
      const int64_t some = std::min<int64_t>(kNormRows, rows - row), some_next = std::min(some, next - row);
      if (some_next > 0) prefetch_row(x + rows * depth, some_next * depth);
      prefetch_row(y + row * columns, some * columns);
      if (block.has_norm_before) {
        layer_norms(x, some, depth, block.norm_scale, block.norm_bias, block.norm_epsilon, memory.normalized.get());
        x = memory.normalized.get();
      }
      for (int64_t each = 0; each < some; each++)
        quantize_row(x + each * depth, depth, block.input, quantized.row(row + each));
    }
  // The processor does not foresee by itself which rows follow those that are read again for each panel.
  if (block.bytes) prefetch_bytes(block.bytes + rows * depth, next * depth);
  const auto last_layer = [&](const uint8_t* from, int64_t from_stride, ByteRange range, const float* read_next) {
    if constexpr (Tile::kKeepsSums) {
      if (moments)
        return layer_to_floats_and_moments<Tile>(from, rows, from_stride, block.last(), range, block.residual, sum, read_next, y,
                                                 moments);
    }
    layer_to_floats<Tile>(from, rows, from_stride, block.last(), range, block.residual, sum, read_next, y);
  };
  if (block.has_second) {
    const int32_t zero_point = block.input.zero_point;
    if (block.activation == Activation::kGelu)
      layer_to_bytes<Tile>(input, rows, stride, block.first, zero_point, GeluToBytes(block.hidden), between);
    else
      layer_to_bytes<Tile>(input, rows, stride, block.first, zero_point, FloatsToBytes(block.hidden), between);
    last_layer(between.row(0), between.stride, block.hidden, nullptr);
  } else {
    const float* const next_residual = block.residual && next >= rows ? block.residual + rows * columns : nullptr;
    last_layer(input, stride, block.input, next_residual);
  }
  if (block.row_scale)
    for (int64_t row = 0; row < rows; row++)
      for (int64_t column = 0; column < columns; column++) y[row * columns + column] *= block.row_scale[row];
  if (block.residual) normalize_sums(block, rows, moments, y);
  if (block.y_bytes) quantize_row(y, rows * columns, block.y_range, block.y_bytes);
}

// The same block for the rows from `start` on.
inline LinearBlock from_row(LinearBlock block, int64_t start) {
  const int64_t depth = block.first.depth, columns = block.last().columns;
  if (block.x) block.x += start * depth;
  if (block.bytes) block.bytes += start * depth;
  if (block.row_scale) block.row_scale += start;
  if (block.residual) block.residual += start * columns;
  if (block.y) block.y += start * columns;
  if (block.y_bytes) block.y_bytes += start * columns;
  return block;
}

// Calls take(start, rows, next) for all rows from `begin` to before `end`, as many at a time as `Tile` wants; `next` rows follow
// the time after.
template <class Tile, class Take>
inline void take_rows(int64_t begin, int64_t end, Take take) {
  for (int64_t start = begin; start < end; start += Tile::kRowsAtATime) {
    const int64_t rows = std::min(Tile::kRowsAtATime, end - start);
    take(start, rows, std::min(Tile::kRowsAtATime, end - start - rows));
  }
}

template <class Tile>
void linear_block_rows(const LinearBlock& block, int64_t begin, int64_t end) {
  const BlockMemory memory(block, std::min(Tile::kRowsAtATime, end - begin), adds_moments<Tile>(block));
  take_rows<Tile>(begin, end, [&](int64_t start, int64_t rows, int64_t next) {
    some_rows<Tile>(from_row(block, start), rows, next, memory);
  });
}

// The second block reads the result of the first one, which is its residual too.
template <class Tile>
void two_linear_blocks_rows(const LinearBlock& first, const LinearBlock& second, int64_t begin, int64_t end) {
  const int64_t most = std::min(Tile::kRowsAtATime, end - begin);
  const Floats middle(most * first.last().columns);
  LinearBlock head = first, tail = second;
  head.y = middle.get(), tail.x = tail.residual = middle.get();
  const BlockMemory of_head(head, most, adds_moments<Tile>(head)), of_tail(tail, most, adds_moments<Tile>(tail));
  take_rows<Tile>(begin, end, [&](int64_t start, int64_t rows, int64_t next) {
    head = from_row(first, start), tail = from_row(second, start);
    head.y = middle.get(), tail.x = tail.residual = middle.get();
    some_rows<Tile>(head, rows, next, of_head);
    some_rows<Tile>(tail, rows, 0, of_tail);
  });
}

}  // namespace
}  // namespace dino8
