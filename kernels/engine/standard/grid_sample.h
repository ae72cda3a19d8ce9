// Sampling of images at the points of a grid.
#pragma once

#include "../operators.h"

namespace dino8::engine {

Problem make_grid_sample(const Node& node, std::unique_ptr<Operator>& out);

}  // namespace dino8::engine
