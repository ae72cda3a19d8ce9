// The computation of a block of linear layers. Some rows at a time go through all of it, so that what is between the
// layers stays in the processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <memory>

#include "cache_line.h"
#include "gelu.h"
#include "layer_norm.h"
#include "linear_block.h"
#include "linear_layer.h"
#include "quantize_rows.h"
#include "residual_sum.h"

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

inline FloatVector unchanged(FloatVector x) { return x; }

// The first of two layers, with the activation function and the quantization behind it.
template <class Tile, FloatVector activate(FloatVector)>
void layer_to_bytes(const uint8_t* from, int64_t rows, int64_t stride, const LinearBlock& block, const ByteRows& to) {
  const float inverse = 1 / block.hidden.scale, zero_point = static_cast<float>(block.hidden.zero_point);
  linear_layer_by_panels<Tile>(from, rows, stride, block.first, block.input.zero_point,
                               [&, inverse, zero_point](int64_t row, int64_t column, int64_t, PanelResults results) {
                                 IntVector bytes[kPanelColumns / kFloatLanes];
                                 for (int64_t at = 0; at < kPanelColumns; at += kFloatLanes)
                                   bytes[at / kFloatLanes] = to_byte(activate(results.vector(at)), inverse, zero_point);
                                 store_bytes(to.row(row) + column, bytes);
                               });
}

// The last layer: `to` [rows, layer.columns]. The processor loads `read_next` [rows, layer.columns] into its caches
// meanwhile, unless it is null.
template <class Tile>
void layer_to_floats(const uint8_t* from, int64_t rows, int64_t stride, const PackedLayer& layer, ByteRange input,
                     float* to, const float* read_next) {
  linear_layer_by_panels<Tile>(from, rows, stride, layer, input.zero_point,
                               [&](int64_t row, int64_t column, int64_t count, PanelResults results) {
                                 if (read_next) __builtin_prefetch(read_next + row * layer.columns + column);
                                 float* const place = to + row * layer.columns + column;
                                 if (count == kPanelColumns) return results.store(place);
                                 float values[kPanelColumns];
                                 results.store(values);
                                 std::copy(values, values + count, place);
                               });
}

// Adds `rows` rows of the residual to y, and normalizes the sums if the norm is behind the layers.
__attribute__((noinline)) void add_residual(const LinearBlock& block, const float* residual, int64_t rows, float* y) {
  const int64_t columns = block.last().columns;
  const ResidualSum sum(block.rounding);
  for (int64_t row = 0; row < rows; row++, residual += columns, y += columns) {
    sum.add(residual, columns, y);
    if (!block.has_norm_before) layer_norm(y, columns, block.norm_scale, block.norm_bias, block.norm_epsilon, y);
  }
}

template <class Tile>
void linear_block_rows(const LinearBlock& block, int64_t begin, int64_t end) {
  const int64_t depth = block.first.depth, columns = block.last().columns;
  const int64_t most = std::min(Tile::kRowsAtATime, end - begin);
  const ByteRows quantized(block.x ? most : 0, depth, 0);
  // Rows whose distance is a power of two would share a few places of the first-level cache.
  const ByteRows between(block.has_second ? most : 0, block.second.depth, 1);
  const std::unique_ptr<float[]> normalized(new float[static_cast<size_t>(block.has_norm_before ? depth : 0)]);
  const std::unique_ptr<float[]> results(block.y ? nullptr : new float[static_cast<size_t>(most * columns)]);
  for (int64_t start = begin; start < end; start += Tile::kRowsAtATime) {
    const int64_t rows = std::min(Tile::kRowsAtATime, end - start);
    float* const y = block.y ? block.y + start * columns : results.get();
    const uint8_t* input = block.x ? quantized.row(0) : block.bytes + start * depth;
    const int64_t stride = block.x ? quantized.stride : depth;
    const float* const residual = block.residual ? block.residual + start * columns : nullptr;
    if (block.x)
      for (int64_t row = 0; row < rows; row++) {
        const float* x = block.x + (start + row) * depth;
        if (block.has_norm_before)
          layer_norm(x, depth, block.norm_scale, block.norm_bias, block.norm_epsilon, normalized.get());
        quantize_row(block.has_norm_before ? normalized.get() : x, depth, block.input, quantized.row(row));
      }
    // The processor does not foresee by itself which rows follow those that are read again for each panel.
    if (block.bytes)
      for (int64_t at = 0; at < std::min(Tile::kRowsAtATime, end - start - rows) * depth; at += 64)
        __builtin_prefetch(block.bytes + (start + rows) * depth + at);
    if (block.has_second) {
      if (block.activation == Activation::kGelu) layer_to_bytes<Tile, gelu>(input, rows, stride, block, between);
      else layer_to_bytes<Tile, unchanged>(input, rows, stride, block, between);
      layer_to_floats<Tile>(between.row(0), rows, between.stride, block.second, block.hidden, y, nullptr);
    } else {
      layer_to_floats<Tile>(input, rows, stride, block.first, block.input, y, residual);
    }
    if (block.row_scale)
      for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) y[row * columns + column] *= block.row_scale[start + row];
    if (residual) add_residual(block, residual, rows, y);
    if (block.y_bytes) quantize_row(y, rows * columns, block.y_range, block.y_bytes + start * columns);
  }
}

}  // namespace
}  // namespace dino8
