#include "integer_product.h"

#include <algorithm>
#include <cstring>
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "float_product.h"
#include "product_shapes.h"

namespace dino8::engine {
namespace {

// Bytes without their zero points have 9 bits, so products are of integers of 16 bits. The instructions add the products of two
// neighbours of a row, so two rows of b are interleaved to [pairs, columns, 2].
typedef int32_t Sums __attribute__((vector_size(16)));
typedef int16_t Pairs __attribute__((vector_size(16)));

constexpr int64_t kPanel = 16, kLanes = 4;
constexpr int kVectors = kPanel / kLanes;

// So many pairs of rows of b are interleaved at once, in 8 kB.
constexpr int64_t kPairs = 128;

inline Sums dot_pairs(Pairs a, Pairs b) {
#if defined(__wasm_simd128__)
  return (Sums)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#elif defined(__SSE2__)
  return (Sums)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  Sums sums;
  for (int64_t lane = 0; lane < kLanes; lane++)
    sums[lane] = int32_t{a[2 * lane]} * b[2 * lane] + int32_t{a[2 * lane + 1]} * b[2 * lane + 1];
  return sums;
#endif
}

// Sums that do not fit into 32 bits wrap, as they do in ONNX Runtime.
inline Sums add(Sums a, Sums b) {
  typedef uint32_t Unsigned __attribute__((vector_size(16)));
  return (Sums)((Unsigned)a + (Unsigned)b);
}

// out [Rows, columns] = or += a [Rows, pairs · 2] · b [pairs, kPanel, 2]; `columns` is at most kPanel.
template <int Rows>
__attribute__((noinline)) void multiply_rows(int64_t pairs, Matrix<const int16_t> a, const int16_t* b, int64_t columns, bool adds,
                                             Matrix<int32_t> out) {
  Sums sums[Rows][kVectors] = {};
  for (int64_t pair = 0; pair < pairs; pair++, b += 2 * kPanel) {
    Pairs line[kVectors];
    std::memcpy(line, b, sizeof line);
    for (int row = 0; row < Rows; row++) {
      int32_t two;
      std::memcpy(&two, a.data + row * a.stride + 2 * pair, sizeof two);
      const Pairs numbers = (Pairs)(Sums{two, two, two, two});
      for (int at = 0; at < kVectors; at++) sums[row][at] = add(sums[row][at], dot_pairs(numbers, line[at]));
    }
  }
  for (int row = 0; row < Rows; row++) {
    int32_t* to = out.data + row * out.stride;
    if (columns == kPanel) {
      Sums before[kVectors] = {};
      if (adds) std::memcpy(before, to, sizeof before);
      for (int at = 0; at < kVectors; at++) before[at] = add(before[at], sums[row][at]);
      std::memcpy(to, before, sizeof before);
      continue;
    }
    int32_t numbers[kPanel];
    std::memcpy(numbers, sums[row], sizeof numbers);
    for (int64_t column = 0; column < columns; column++) {
      const uint32_t before = adds ? static_cast<uint32_t>(to[column]) : 0;
      to[column] = static_cast<int32_t>(before + static_cast<uint32_t>(numbers[column]));
    }
  }
}

// Rows of bytes without their zero points.
template <class Byte>
void widen(const Byte* from, int64_t count, int32_t zero, int16_t* to) {
  for (int64_t at = 0; at < count; at++) to[at] = static_cast<int16_t>(from[at] - zero);
}

void widen(Element element, const char* from, int64_t count, int32_t zero, int16_t* to) {
  if (element == Element::kInt8)
    widen(reinterpret_cast<const int8_t*>(from), count, zero, to);
  else
    widen(reinterpret_cast<const uint8_t*>(from), count, zero, to);
}

// Interleaves rows of b [rows, columns], `stride` bytes apart. Behind the last row and the last column there are zeros.
template <class Byte>
void interleave(const Byte* from, int64_t stride, int64_t rows, int64_t columns, const int16_t (&zeros)[kPanel], int16_t* to) {
  for (int64_t row = 0; row < rows; row += 2, from += 2 * stride, to += 2 * kPanel) {
    if (columns == kPanel && row + 1 < rows) {
      for (int64_t column = 0; column < kPanel; column++) {
        to[2 * column] = static_cast<int16_t>(from[column] - zeros[column]);
        to[2 * column + 1] = static_cast<int16_t>(from[stride + column] - zeros[column]);
      }
      continue;
    }
    std::fill_n(to, 2 * kPanel, int16_t{0});
    for (int64_t column = 0; column < columns; column++) {
      to[2 * column] = static_cast<int16_t>(from[column] - zeros[column]);
      if (row + 1 < rows) to[2 * column + 1] = static_cast<int16_t>(from[stride + column] - zeros[column]);
    }
  }
}

bool is_byte(Element element) { return element == Element::kUint8 || element == Element::kInt8; }

int32_t byte_at(const Tensor& tensor, int64_t at) {
  return tensor.element == Element::kInt8 ? int32_t{tensor.data<int8_t>()[at]} : int32_t{tensor.data<uint8_t>()[at]};
}

// The shapes that a scale or a zero point of b may have: one for all of b, one for each column, or one for each column of each matrix.
struct ColumnSteps {
  int64_t column = 0, matrix = 0;

  Problem set(const Shape& parameter, const Shape& b) {
    const int64_t columns = b.dims[b.rank - 1];
    if (parameter.rank <= 1 && parameter.count() == 1) return nullptr;
    column = 1;
    if (parameter.rank == 1 && b.rank > 1 && parameter.dims[0] == columns) return nullptr;
    Shape one_for_each = b;
    if (b.rank > 1) one_for_each.dims[b.rank - 2] = 1;
    matrix = columns;
    return b.rank > 1 && parameter == one_for_each ? nullptr : "a scale or zero point has not one number, or one for each column";
  }
};

// A product of bytes.
struct IntegerProduct {
  const Tensor *a, *b;
  const Tensor *a_zero, *b_zero;  // null for 0
  ProductShapes shapes = {};
  ColumnSteps zero_steps = {};

  Problem check() {
    if (a == nullptr || b == nullptr) return kMissingInput;
    if (!is_byte(a->element) || !is_byte(b->element)) return kWrongType;
    if (const Problem problem = shapes.set(a->shape, b->shape)) return problem;
    if (a_zero != nullptr) {
      if (a_zero->element != a->element) return kWrongType;
      if (a_zero->shape.count() != 1) return "its first input has not one zero point";
    }
    if (b_zero != nullptr) {
      if (b_zero->element != b->element) return kWrongType;
      if (const Problem problem = zero_steps.set(b_zero->shape, b->shape)) return problem;
    }
    return nullptr;
  }

  // Sets sums [batches, rows, columns]. Calls finish(block) when a block of them is complete.
  template <class Finish>
  Problem multiply(Run& run, int32_t* sums, const Finish& finish) const {
    if (shapes.out.count() == 0) return nullptr;
    const int64_t depth = shapes.depth, columns = shapes.columns, pairs = (depth + 1) / 2, stride = pairs * 2;
    const int64_t rows = depth == 0 ? 0 : a->shape.count() / depth;
    const int64_t bytes = rows * stride * static_cast<int64_t>(sizeof(int16_t));
    if (bytes > kMaxBytes) return kTooLarge;
    const std::shared_ptr<char> memory = allocate(bytes);
    if (memory == nullptr) return kNoMemory;
    int16_t* wide = reinterpret_cast<int16_t*>(memory.get());
    const int32_t zero = a_zero == nullptr ? 0 : byte_at(*a_zero, 0);
    for_each_range(run, rows, static_cast<double>(stride), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) {
        wide[row * stride + stride - 1] = 0;
        widen(a->element, a->memory.get() + row * depth, depth, zero, wide + row * stride);
      }
    });
    const auto block_product = [&](const ProductBlock& block) {
      const int64_t row_of_a = shapes.matrix_of_a(block.batch) * shapes.rows + block.row;
      const int64_t row_of_out = block.batch * shapes.rows + block.row;
      multiply_block(block, {wide + row_of_a * stride, stride}, {sums + row_of_out * columns + block.column, columns});
      finish(block);
    };
    // A product of bytes takes half as long as one of floats.
    ProductBlocks(shapes.batches, shapes.rows, pairs, columns).for_each(run, block_product);
    return nullptr;
  }

  void multiply_block(const ProductBlock& block, Matrix<const int16_t> a_rows, Matrix<int32_t> out) const {
    alignas(64) int16_t panel[kPairs * kPanel * 2];
    const int64_t matrix = shapes.matrix_of_b(block.batch), depth = shapes.depth;
    const char* bytes = b->memory.get() + matrix * depth * shapes.columns + block.column;
    for (int64_t column = 0; column < block.columns; column += kPanel) {
      const int64_t width = std::min(kPanel, block.columns - column);
      int16_t zeros[kPanel] = {};
      if (b_zero != nullptr)
        for (int64_t at = 0; at < width; at++)
          zeros[at] = static_cast<int16_t>(byte_at(
              *b_zero, matrix * zero_steps.matrix + (block.column + column + at) * zero_steps.column));
      for (int64_t at = 0; at < depth || at == 0; at += 2 * kPairs) {
        const int64_t rows = std::min(2 * kPairs, depth - at), pairs = (rows + 1) / 2;
        const char* first = bytes + at * shapes.columns + column;
        if (b->element == Element::kInt8)
          interleave(reinterpret_cast<const int8_t*>(first), shapes.columns, rows, width, zeros, panel);
        else
          interleave(reinterpret_cast<const uint8_t*>(first), shapes.columns, rows, width, zeros, panel);
        int64_t row = 0;
        for (; row + 2 <= block.rows; row += 2)
          multiply_rows<2>(pairs, {a_rows.data + row * a_rows.stride + at, a_rows.stride}, panel, width, at > 0,
                           {out.data + row * out.stride + column, out.stride});
        if (row < block.rows)
          multiply_rows<1>(pairs, {a_rows.data + row * a_rows.stride + at, a_rows.stride}, panel, width, at > 0,
                           {out.data + row * out.stride + column, out.stride});
      }
    }
  }

};

// https://onnx.ai/onnx/operators/onnx__MatMulInteger.html
Problem mat_mul_integer(Run& run) {
  IntegerProduct product{run.input(0), run.input(1), run.input(2), run.input(3)};
  if (const Problem problem = product.check()) return problem;
  Tensor* to;
  if (const Problem problem = run.make_output(0, Element::kInt32, product.shapes.out, to)) return problem;
  return product.multiply(run, to->data<int32_t>(), [](const ProductBlock&) {});
}

// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulIntegerToFloat
Problem mat_mul_integer_to_float(Run& run) {
  IntegerProduct product{run.input(0), run.input(1), run.input(4), run.input(5)};
  const Tensor *a_scale = run.input(2), *b_scale = run.input(3), *bias = run.input(6);
  if (a_scale == nullptr || b_scale == nullptr) return kMissingInput;
  for (const Tensor* input : {a_scale, b_scale, bias})
    if (input != nullptr && input->element != Element::kFloat) return kWrongType;
  if (const Problem problem = product.check()) return problem;
  const ProductShapes& shapes = product.shapes;
  if (a_scale->shape.count() != 1) return "its first input has not one scale";
  ColumnSteps scale_steps;
  if (const Problem problem = scale_steps.set(b_scale->shape, product.b->shape)) return problem;
  if (bias != nullptr && (bias->shape.rank != 1 || bias->shape.dims[0] != shapes.columns)) return kWrongShape;
  Tensor* to;
  if (const Problem problem = run.make_output(0, Element::kFloat, shapes.out, to)) return problem;
  // Sums are replaced by floats, which take as much memory.
  char* out = to->memory.get();
  return product.multiply(run, reinterpret_cast<int32_t*>(out), [&](const ProductBlock& block) {
    const float* scales_of_b = b_scale->data<float>() + shapes.matrix_of_b(block.batch) * scale_steps.matrix;
    const float scale_of_a = *a_scale->data<float>();
    // Some columns at once, so that loops over them need no conditions.
    constexpr int64_t kColumns = 64;
    float scales[kColumns], biases[kColumns] = {};
    for (int64_t column = block.column; column < block.column + block.columns; column += kColumns) {
      const int64_t width = std::min(kColumns, block.column + block.columns - column);
      for (int64_t at = 0; at < width; at++) scales[at] = scale_of_a * scales_of_b[(column + at) * scale_steps.column];
      if (bias != nullptr) std::copy_n(bias->data<float>() + column, width, biases);
      for (int64_t row = 0; row < block.rows; row++) {
        char* numbers = out + ((block.batch * shapes.rows + block.row + row) * shapes.columns + column) * 4;
        int32_t sums[kColumns];
        float results[kColumns];
        std::memcpy(sums, numbers, static_cast<size_t>(width) * sizeof(int32_t));
        for (int64_t at = 0; at < width; at++) results[at] = static_cast<float>(sums[at]) * scales[at] + biases[at];
        std::memcpy(numbers, results, static_cast<size_t>(width) * sizeof(float));
      }
    }
  });
}

}  // namespace

Problem make_mat_mul_integer(const Node& node, std::unique_ptr<Operator>& out) {
  return make_stateless<mat_mul_integer>(node, out);
}
Problem make_mat_mul_integer_to_float(const Node& node, std::unique_ptr<Operator>& out) {
  return make_stateless<mat_mul_integer_to_float>(node, out);
}

}  // namespace dino8::engine
