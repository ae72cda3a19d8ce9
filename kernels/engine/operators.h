// The operators that the engine has: one table for each source file.
#pragma once

#include "operator.h"

namespace dino8::engine {

// Null if the engine has no operator of this domain and type.
MakeOperator find_operator(const std::string& domain, const std::string& type);

// A table, by its first entry and its number of entries.
struct OperatorTable {
  const OperatorEntry* entries;
  size_t count;
};

template <size_t kCount>
constexpr OperatorTable table_of(const OperatorEntry (&entries)[kCount]) {
  return {entries, kCount};
}

// The tables of the standard's operators; see standard/.
const std::vector<OperatorTable>& standard_operators();

OperatorTable elementwise_operators();     // Add, Mul, Where, Cast, Sigmoid …
OperatorTable quantization_operators();    // QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear
OperatorTable normalization_operators();   // LayerNormalization, InstanceNormalization, Softmax
OperatorTable reduction_operators();       // ReduceSum, ReduceMax, CumSum, TopK …
OperatorTable movement_operators();        // Reshape, Transpose, Concat, Slice, Gather …
OperatorTable shape_operators();           // Shape, Range, Expand …
OperatorTable product_operators();         // MatMul, MatMulIntegerToFloat, Conv

// The operators of dino8's own domain, which are those of the kernel library.
// Null if the library has none of this type.
MakeOperator find_library_operator(const std::string& type);

}  // namespace dino8::engine
