// Operators whose output has the elements of the input in other dimensions. They share its memory.
#pragma once

#include "../operators.h"

namespace dino8::engine {

Problem make_reshape(const Node& node, std::unique_ptr<Operator>& out);
Problem make_squeeze(const Node& node, std::unique_ptr<Operator>& out);
Problem make_unsqueeze(const Node& node, std::unique_ptr<Operator>& out);
Problem make_flatten(const Node& node, std::unique_ptr<Operator>& out);
Problem make_identity(const Node& node, std::unique_ptr<Operator>& out);

}  // namespace dino8::engine
