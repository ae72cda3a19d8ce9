// Operators that multiply matrices.
#include <algorithm>

#include "../operators.h"
#include "convolution.h"
#include "float_product.h"
#include "grid_sample.h"
#include "integer_product.h"
#include "product_shapes.h"
#include "strided_copy.h"

namespace dino8::engine {
namespace {

// https://onnx.ai/onnx/operators/onnx__MatMul.html
Problem mat_mul(Run& run) {
  const Tensor *a = run.input(0), *b = run.input(1);
  if (a == nullptr || b == nullptr) return kMissingInput;
  if (a->element != Element::kFloat || b->element != Element::kFloat) return kWrongType;
  ProductShapes shapes;
  if (const Problem problem = shapes.set(a->shape, b->shape)) return problem;
  Tensor* to;
  if (const Problem problem = run.make_output(0, Element::kFloat, shapes.out, to)) return problem;
  const int64_t depth = shapes.depth, columns = shapes.columns;
  const float *from_a = a->data<float>(), *from_b = b->data<float>();
  float* out = to->data<float>();
  const auto block_product = [&](const ProductBlock& block) {
    const int64_t row_of_a = shapes.matrix_of_a(block.batch) * shapes.rows + block.row;
    const int64_t row_of_out = block.batch * shapes.rows + block.row;
    multiply({block.rows,
              depth,
              block.columns,
              {from_a + row_of_a * depth, depth},
              {from_b + shapes.matrix_of_b(block.batch) * depth * columns + block.column, columns},
              {out + row_of_out * columns + block.column, columns},
              false});
  };
  ProductBlocks(shapes.batches, shapes.rows, depth, columns).for_each(run, block_product);
  return nullptr;
}

// https://onnx.ai/onnx/operators/onnx__Gemm.html
class Gemm : public Operator {
 public:
  Problem start(const Node& node) {
    alpha_ = node.number("alpha", 1);
    beta_ = node.number("beta", 1);
    transposes_a_ = node.integer("transA", 0) != 0;
    transposes_b_ = node.integer("transB", 0) != 0;
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *a = run.input(0), *b = run.input(1), *c = run.input(2);
    if (a == nullptr || b == nullptr) return kMissingInput;
    for (const Tensor* input : {a, b, c})
      if (input != nullptr && input->element != Element::kFloat) return kWrongType;
    if (a->shape.rank != 2 || b->shape.rank != 2) return kWrongShape;
    Tensor first = *a, second = *b;
    if (transposes_a_)
      if (const Problem problem = transpose(run, first)) return problem;
    if (transposes_b_)
      if (const Problem problem = transpose(run, second)) return problem;
    ProductShapes shapes;
    if (const Problem problem = shapes.set(first.shape, second.shape)) return problem;
    const int64_t depth = shapes.depth, columns = shapes.columns;
    int64_t row_stride = 0, column_stride = 0;
    if (c != nullptr)
      if (const Problem problem = broadcast(c->shape, shapes.out, row_stride, column_stride)) return problem;
    Tensor* to;
    if (const Problem problem = run.make_output(0, Element::kFloat, shapes.out, to)) return problem;
    const float* added = c == nullptr ? nullptr : c->data<float>();
    const auto block_product = [&](const ProductBlock& block) {
      float* out = to->data<float>() + block.row * columns + block.column;
      multiply({block.rows,
                depth,
                block.columns,
                {first.data<float>() + block.row * depth, depth},
                {second.data<float>() + block.column, columns},
                {out, columns},
                false});
      for (int64_t row = 0; row < block.rows; row++)
        for (int64_t column = 0; column < block.columns; column++) {
          float& number = out[row * columns + column];
          number *= alpha_;
          if (added != nullptr)
            number += beta_ * added[(block.row + row) * row_stride + (block.column + column) * column_stride];
        }
    };
    ProductBlocks(1, shapes.rows, depth, columns).for_each(run, block_product);
    return nullptr;
  }

 private:
  static Problem transpose(Run& run, Tensor& matrix) {
    const int64_t rows = matrix.shape.dims[0], columns = matrix.shape.dims[1];
    Tensor transposed = matrix;
    transposed.shape.dims[0] = columns;
    transposed.shape.dims[1] = rows;
    transposed.memory = allocate(matrix.shape.count() * static_cast<int64_t>(sizeof(float)));
    if (transposed.memory == nullptr) return kNoMemory;
    StridedCopy copy;
    copy.add_axis(columns, 1, rows);
    copy.add_axis(rows, columns, 1);
    copy_strided(run, copy, matrix.memory.get(), transposed.memory.get(), sizeof(float));
    matrix = std::move(transposed);
    return nullptr;
  }

  // The steps of the third input along the rows and columns of the result.
  static Problem broadcast(const Shape& c, const Shape& out, int64_t& row_stride, int64_t& column_stride) {
    if (c.rank > 2) return kWrongShape;
    const int64_t columns = c.rank > 0 ? c.dims[c.rank - 1] : 1, rows = c.rank > 1 ? c.dims[0] : 1;
    if ((columns != 1 && columns != out.dims[1]) || (rows != 1 && rows != out.dims[0])) return kWrongShape;
    row_stride = rows == 1 ? 0 : columns;
    column_stride = columns == 1 ? 0 : 1;
    return nullptr;
  }

  float alpha_ = 1, beta_ = 1;
  bool transposes_a_ = false, transposes_b_ = false;
};

constexpr OperatorEntry kEntries[] = {
    {"", "MatMul", make_stateless<mat_mul>},
    {"", "Gemm", make_operator<Gemm>},
    {"", "MatMulInteger", make_mat_mul_integer},
    {"com.microsoft", "MatMulIntegerToFloat", make_mat_mul_integer_to_float},
    {"", "Conv", make_convolution},
    {"", "GridSample", make_grid_sample},
};

}  // namespace

OperatorTable product_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
