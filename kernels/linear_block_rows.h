// The computation of a block of linear layers. Some rows at a time go through all of it, so that what is between the
// layers stays in the processor's caches. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <vector>

#include "add_norm.h"
#include "linear_block.h"
#include "linear_layer.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// So many rows of 2,048 bytes fit into a second-level cache of 256 kB, and it is a multiple of the rows of every tile.
constexpr int64_t kRowsAtATime = 48;

template <class Tile>
void linear_block_rows(const LinearBlock& block, int64_t begin, int64_t end) {
  const int64_t depth = block.first.depth, hidden = block.has_second ? block.second.depth : 0;
  const int64_t columns = block.last().columns, most = std::min(kRowsAtATime, end - begin);
  std::vector<uint8_t> scratch(static_cast<size_t>(most * ((block.x ? depth : 0) + hidden)));
  uint8_t* const between = scratch.data();
  uint8_t* const quantized = between + most * hidden;
  for (int64_t start = begin; start < end; start += kRowsAtATime) {
    const int64_t rows = std::min(kRowsAtATime, end - start);
    float* const y = block.y + start * columns;
    if (block.x) quantize_row(block.x + start * depth, rows * depth, block.input, quantized);
    const uint8_t* input = block.x ? quantized : block.bytes + start * depth;
    if (block.has_second) {
      linear_layer<Tile>(input, rows, block.first, block.input.zero_point,
                         [&](int64_t row, int64_t column, int64_t count, float* values) {
                           if (block.activation == Activation::kGelu) gelu_row(values, count);
                           quantize_row(values, count, block.hidden, between + row * hidden + column);
                         });
      input = between;
    }
    linear_layer<Tile>(input, rows, block.last(), block.has_second ? block.hidden.zero_point : block.input.zero_point,
                       [&](int64_t row, int64_t column, int64_t count, const float* values) {
                         std::copy(values, values + count, y + row * columns + column);
                       });
    if (block.residual)
      for (int64_t row = 0; row < rows; row++)
        add_norm(block.residual + (start + row) * columns, columns, block.norm_scale, block.norm_bias,
                 block.norm_epsilon, y + row * columns);
  }
}

}  // namespace
}  // namespace dino8
