// The product of two matrices of floats, and the division of products of matrices among threads.
#pragma once

#include "ranges.h"

namespace dino8::engine {

// Rows of a matrix are `stride` numbers apart.
template <class Number>
struct Matrix {
  Number* data;
  int64_t stride;
};

// Sets out [rows, columns] to a [rows, depth] · b [depth, columns], or adds the product to it.
struct FloatProduct {
  int64_t rows, depth, columns;
  Matrix<const float> a, b;
  Matrix<float> out;
  bool adds;
};

void multiply(const FloatProduct& product);

// A block of one of the matrices that a product with batches has as its results.
struct ProductBlock {
  int64_t batch;
  int64_t row, rows;
  int64_t column, columns;
};

// Matrices are not divided into smaller blocks than that.
struct SmallestBlock {
  int64_t rows = 32, columns = 64;
};

// The blocks that make up `batches` matrices [rows, columns], each a product over `depth` numbers. No block is empty.
class ProductBlocks {
 public:
  ProductBlocks(int64_t batches, int64_t rows, int64_t depth, int64_t columns, SmallestBlock smallest = {});

  // Calls task(block) for each block, on all threads.
  template <class Task>
  void for_each(Run& run, const Task& task) const {
    for_each_range(run, count_, cost_, [&](int64_t begin, int64_t end) {
      for (int64_t index = begin; index < end; index++) task(at(index));
    });
  }

 private:
  ProductBlock at(int64_t index) const;

  int64_t rows_, columns_;
  int64_t rows_of_block_ = 1, columns_of_block_ = 1;
  int64_t down_ = 0, across_ = 0;  // blocks of a matrix
  int64_t count_ = 0;
  double cost_ = 0;  // of a block; see for_each_range
};

}  // namespace dino8::engine
