// Operators that cut off or add elements at the ends of axes.
#pragma once

#include "../operators.h"

namespace dino8::engine {

Problem make_slice(const Node& node, std::unique_ptr<Operator>& out);
Problem make_pad(const Node& node, std::unique_ptr<Operator>& out);

}  // namespace dino8::engine
