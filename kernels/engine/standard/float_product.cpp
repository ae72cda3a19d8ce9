// Products of floats with 128-bit vectors: a tile of two rows by four vectors (or four by two, eight by one) keeps its sums in
// eight registers. Measured with Node.js on a Zen processor, larger tiles are slower, because V8 then spills registers: 4 × 4
// vectors reach 20 G multiplications a second, 2 × 4 reach 30.
#include "float_product.h"

#include <algorithm>
#include <cstring>

namespace dino8::engine {
namespace {

typedef float FloatVector __attribute__((vector_size(16)));
constexpr int64_t kFloatLanes = 4;

inline FloatVector load_floats(const float* from) {
  FloatVector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store_floats(float* to, FloatVector value) { std::memcpy(to, &value, sizeof value); }

// A list of four becomes an instruction that loads all lanes; `FloatVector{} + value` adds to 0 first.
inline FloatVector all_floats(float value) { return FloatVector{value, value, value, value}; }

// Columns that are multiplied at once, a cache line of floats.
constexpr int64_t kPanel = 16;
constexpr int64_t kVectors = kPanel / kFloatLanes;

// A panel of so many rows of b (16 kB) stays in the first-level cache, and fits into the stack of a thread.
constexpr int64_t kDepth = 256;

// Copying a panel costs as much as multiplying it by about two rows.
constexpr int64_t kRowsToCopy = 16;

// Rows of b this many numbers apart lie in few sets of a cache, where they replace each other.
constexpr int64_t kBadStride = 128;

inline FloatVector multiply_add(FloatVector a, FloatVector b, FloatVector sum) {
#if defined(__wasm_relaxed_simd__)
  return (FloatVector)__builtin_wasm_relaxed_madd_f32x4(a, b, sum);
#else
  return a * b + sum;
#endif
}

// sums [Rows, Vectors] = a [Rows, depth] · b [depth, Vectors]
template <int Rows, int Vectors>
inline void multiply_tile(int64_t depth, Matrix<const float> a, Matrix<const float> b, FloatVector (&sums)[Rows][Vectors]) {
  for (auto& row : sums)
    for (FloatVector& sum : row) sum = FloatVector{};
  const float* from_b = b.data;
  for (const float *from_a = a.data, *end = from_a + depth; from_a < end; from_a++, from_b += b.stride) {
    FloatVector line[Vectors];
    for (int at = 0; at < Vectors; at++) line[at] = load_floats(from_b + at * kFloatLanes);
    for (int row = 0; row < Rows; row++) {
      const FloatVector number = all_floats(from_a[row * a.stride]);
      for (int at = 0; at < Vectors; at++) sums[row][at] = multiply_add(number, line[at], sums[row][at]);
    }
  }
}

// Stores the first `columns` sums of each row.
template <int Rows, int Vectors>
inline void store_tile(const FloatVector (&sums)[Rows][Vectors], int64_t columns, bool adds, Matrix<float> out) {
  for (int row = 0; row < Rows; row++) {
    float* to = out.data + row * out.stride;
    if (columns == Vectors * kFloatLanes) {
      for (int at = 0; at < Vectors; at++, to += kFloatLanes)
        store_floats(to, adds ? load_floats(to) + sums[row][at] : sums[row][at]);
    } else {
      float numbers[Vectors * kFloatLanes];
      std::memcpy(numbers, sums[row], sizeof numbers);
      for (int64_t column = 0; column < columns; column++)
        to[column] = adds ? to[column] + numbers[column] : numbers[column];
    }
  }
}

// Multiplies the rows from `row` on by a panel, Rows at a time, and then the rest by smaller tiles. Each is a function of its own,
// because V8 assigns registers to a whole function.
template <int Rows, int Vectors>
__attribute__((noinline)) void multiply_rows(const FloatProduct& panel, int64_t row = 0) {
  for (; row + Rows <= panel.rows; row += Rows) {
    FloatVector sums[Rows][Vectors];
    multiply_tile<Rows, Vectors>(panel.depth, {panel.a.data + row * panel.a.stride, panel.a.stride}, panel.b, sums);
    store_tile(sums, panel.columns, panel.adds, {panel.out.data + row * panel.out.stride, panel.out.stride});
  }
  if constexpr (Rows > 1)
    if (row < panel.rows) multiply_rows<Rows / 2, Vectors>(panel, row);
}

// Copies the rows of b one behind the other, with zeros behind the last column.
void copy_panel(const FloatProduct& panel, float* to) {
  const float* from = panel.b.data;
  for (int64_t row = 0; row < panel.depth; row++, from += panel.b.stride, to += kPanel)
    if (panel.columns == kPanel) {
      std::memcpy(to, from, kPanel * sizeof(float));
    } else {
      std::copy_n(from, panel.columns, to);
      std::fill(to + panel.columns, to + kPanel, 0.0f);
    }
}

template <int Vectors = 1>
void multiply_panel(const FloatProduct& panel) {
  constexpr int kRows = Vectors >= 3 ? 2 : 8 / Vectors;
  if constexpr (Vectors < kVectors)
    if (panel.columns > Vectors * kFloatLanes) return multiply_panel<Vectors + 1>(panel);
  multiply_rows<kRows, Vectors>(panel);
}

}  // namespace

void multiply(const FloatProduct& product) {
  alignas(64) float copied[kDepth * kPanel];
  FloatProduct panel = product;
  for (int64_t at = 0; at < product.depth || at == 0; at += kDepth) {
    panel.depth = std::min(kDepth, product.depth - at);
    panel.adds = product.adds || at > 0;
    panel.a.data = product.a.data + at;
    for (int64_t column = 0; column < product.columns; column += kPanel) {
      panel.columns = std::min(kPanel, product.columns - column);
      panel.out.data = product.out.data + column;
      panel.b = {product.b.data + at * product.b.stride + column, product.b.stride};
      if (panel.columns < kPanel || (product.b.stride % kBadStride == 0 && product.rows >= kRowsToCopy)) {
        copy_panel(panel, copied);
        panel.b = {copied, kPanel};
      }
      multiply_panel(panel);
    }
  }
}

ProductBlocks::ProductBlocks(int64_t batches, int64_t rows, int64_t depth, int64_t columns, SmallestBlock smallest)
    : rows_(rows), columns_(columns) {
  // So many rows of a, kDepth numbers of each, stay in the second-level cache.
  constexpr int64_t kMostRows = 512;
  // A thread multiplies so many numbers while it could move a byte.
  constexpr double kProductsOfByte = 3;
  if (batches == 0 || rows == 0 || columns == 0) return;
  const auto divided = [](int64_t count, int64_t by) { return (count + by - 1) / by; };
  const double cost_of_matrix =
      static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(depth + 1) / kProductsOfByte;
  const double cost = cost_of_matrix * static_cast<double>(batches);
  const int64_t parts = count_parts(kMaxParts, cost / static_cast<double>(kMaxParts));
  // Matrices are divided if they are fewer than the parts: into stacks of columns, and if that does not do, into bands of rows, too,
  // since each band copies all panels of its columns.
  const int64_t wanted = divided(parts, batches);
  const int64_t stacks = std::min(wanted, divided(columns, smallest.columns));
  const int64_t bands = std::max(divided(rows, kMostRows), std::min(divided(wanted, stacks), divided(rows, smallest.rows)));
  rows_of_block_ = divided(divided(rows, bands), 8) * 8;  // tiles have at most 8 rows
  columns_of_block_ = divided(divided(columns, kPanel), stacks) * kPanel;
  down_ = divided(rows, rows_of_block_);
  across_ = divided(columns, columns_of_block_);
  count_ = batches * down_ * across_;
  cost_ = cost_of_matrix / static_cast<double>(down_ * across_);
}

ProductBlock ProductBlocks::at(int64_t index) const {
  ProductBlock block;
  block.batch = index / across_ / down_;
  block.row = index / across_ % down_ * rows_of_block_;
  block.column = index % across_ * columns_of_block_;
  block.rows = std::min(rows_of_block_, rows_ - block.row);
  block.columns = std::min(columns_of_block_, columns_ - block.column);
  return block;
}

}  // namespace dino8::engine
