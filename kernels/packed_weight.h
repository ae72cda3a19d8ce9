// The layout of int8 weights that the integer products read.
//
// A weight [depth, columns] is stored as [columns / 16][depth / 4][16][4]: panels of 16 columns, in which the four
// numbers of a column that meet four bytes of a row lie side by side, as the dot-product instructions want them. A
// step of a panel is 64 bytes: a cache line, and one vector of AVX-512. Columns are filled up with zeros to a multiple
// of 16. Model files hold weights in this layout (src/quant/targets/ort-cpu/packed-weight.ts), so that they are read
// where ONNX Runtime keeps them: nothing is packed or copied when a session starts.
#pragma once

#include <cstdint>

namespace dino8 {

constexpr int64_t kPanelColumns = 16;
constexpr int64_t kStepDepth = 4;
constexpr int64_t kStepBytes = kPanelColumns * kStepDepth;

// The depth from which a sum of products of uint8 and int8 could exceed 32 bits.
constexpr int64_t kMaxDepth = 65536;

// The smallest multiple of `step` that is not below `count`.
constexpr int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

// The affine map of bytes: a byte q stands for (q − zero_point) · scale.
struct ByteRange {
  float scale = 1;
  int32_t zero_point = 0;
};

// The rounding of a residual sum x + branch to numbers that bytes stand for: of x and the branch first, then of the sum.
struct ResidualRounding {
  bool is_rounded = false;
  ByteRange x, branch, sum;
};

// The constants of one linear layer, y = (a − zero point of a) · weight · scale + bias.
struct PackedLayer {
  const int8_t* weight = nullptr;
  int64_t depth = 0;    // a multiple of 4
  int64_t columns = 0;  // without those that fill up the last panel
  // [panels · 16]: the sum of each column of the weight, the scale of its products, and its bias.
  const int32_t* sums = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;

  int64_t panels() const { return (columns + kPanelColumns - 1) / kPanelColumns; }
  int64_t panel_bytes() const { return depth / kStepDepth * kStepBytes; }
};

}  // namespace dino8
