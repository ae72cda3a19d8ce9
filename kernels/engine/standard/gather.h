// Operators that pick elements by indices that are tensors themselves.
#pragma once

#include "../operators.h"

namespace dino8::engine {

Problem make_gather(const Node& node, std::unique_ptr<Operator>& out);
Problem make_gather_nd(const Node& node, std::unique_ptr<Operator>& out);
Problem make_gather_elements(const Node& node, std::unique_ptr<Operator>& out);

}  // namespace dino8::engine
