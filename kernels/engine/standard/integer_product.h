// Operators that multiply matrices of bytes.
#pragma once

#include "../operators.h"

namespace dino8::engine {

Problem make_mat_mul_integer(const Node& node, std::unique_ptr<Operator>& out);
Problem make_mat_mul_integer_to_float(const Node& node, std::unique_ptr<Operator>& out);

}  // namespace dino8::engine
