// The activation function Gelu. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include "float_vector.h"

namespace dino8 {
namespace {

// x · Φ(x), with Φ(x) = 1/2 + x · p(u) between −5.1 and 5.1, where p is a polynomial in u = 2 (x / 5.1)² − 1, so that
// neither a division nor an exponential function is needed. Below, x counts as −5.1; above, Φ is that of 5.1. The
// coefficients are those of the smallest error of x · Φ(x): 1.2e-6 in single precision, relative above 1.
inline FloatVector gelu(FloatVector x) {
  constexpr float kEnd = 5.1f;
  constexpr float kCoefficients[] = {0.000654190362f, -0.00195681901f, 0.00240443457f, -0.00322965082f, 0.00685991838f,
                                     -0.0120242349f,  0.0174654901f,   -0.0240164743f, 0.031716024f,    -0.0402186577f,
                                     0.0507829571f,   -0.0690032603f,  0.138605283f};
  const FloatVector raised = larger(all_floats(-kEnd), x), limited = smaller(all_floats(kEnd), raised);
  const FloatVector u = limited * limited * (2 / (kEnd * kEnd)) - 1;
  FloatVector p = all_floats(0);
  for (const float coefficient : kCoefficients) p = p * u + coefficient;
  return raised * (limited * p + 0.5f);
}

}  // namespace
}  // namespace dino8
