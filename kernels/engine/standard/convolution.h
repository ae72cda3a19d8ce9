// Convolution of images and signals.
#pragma once

#include "../operators.h"

namespace dino8::engine {

Problem make_convolution(const Node& node, std::unique_ptr<Operator>& out);

}  // namespace dino8::engine
