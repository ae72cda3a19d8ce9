// The moments of a row, added up by parts of the row while these are in registers. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <cstdint>

#include "float_vector.h"

namespace dino8 {
namespace {

// The moments of the columns of a row that were added so far. Element k of both vectors describes the columns k, k + kFloatLanes and so
// on: `mean` has their mean, and `squares` the sum of their squared distances from it. `add` joins the moments of two parts as Chan,
// Golub and LeVeque do (Updating formulae and a pairwise algorithm for computing sample variances, 1979), which subtracts no large sums
// from each other.
struct MomentsSoFar {
  FloatVector mean = {}, squares = {};

  // Adds `Count` vectors of a row, the first of which begins at `column`. The columns before were added already.
  template <int Count>
  void add(const FloatVector (&x)[Count], int64_t column) {
    FloatVector sum = x[0], part = {};
    for (int each = 1; each < Count; each++) sum += x[each];
    const FloatVector part_mean = sum * (1.0f / Count);
    for (int each = 0; each < Count; each++) part += (x[each] - part_mean) * (x[each] - part_mean);
    constexpr int64_t kColumns = Count * kFloatLanes;
    const float share = static_cast<float>(kColumns) / static_cast<float>(column + kColumns);
    const FloatVector distance = part_mean - mean;
    mean += distance * share;
    squares += part + distance * (distance * (share * static_cast<float>(column / kFloatLanes)));
  }
};

}  // namespace
}  // namespace dino8
