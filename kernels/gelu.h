// The activation function Gelu. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include "float_vector.h"

namespace dino8 {
namespace {

// x · Φ(x), with Φ(x) = 1/2 + x · p(u) between −5.1 and 5.1, where p is a polynomial in u = 2 (x / 5.1)² − 1, so that
// neither a division nor an exponential function is needed. Below, x counts as −5.1; above, Φ is that of 5.1. The
// coefficients are those of the smallest error of x · Φ(x): 1.2e-6 in single precision, relative above 1.
//
// Some vectors go through it together, since each step of a polynomial waits for the one before.
template <int Count>
inline void gelu(FloatVector (&x)[Count]) {
  constexpr float kEnd = 5.1f;
  constexpr float kFirst = 0.000654190362f;
  constexpr float kOthers[] = {-0.00195681901f, 0.00240443457f, -0.00322965082f, 0.00685991838f,
                               -0.0120242349f,  0.0174654901f,  -0.0240164743f,  0.031716024f,
                               -0.0402186577f,  0.0507829571f,  -0.0690032603f,  0.138605283f};
  FloatVector limited[Count], u[Count], p[Count];
#pragma GCC unroll 4
  for (int each = 0; each < Count; each++) {
    x[each] = larger(all_floats(-kEnd), x[each]);
    limited[each] = smaller(all_floats(kEnd), x[each]);
    u[each] = limited[each] * limited[each] * (2 / (kEnd * kEnd)) - 1;
    p[each] = all_floats(kFirst);
  }
#pragma GCC unroll 12
  for (const float coefficient : kOthers) {
#pragma GCC unroll 4
    for (int each = 0; each < Count; each++) p[each] = multiply_add(p[each], u[each], all_floats(coefficient));
  }
#pragma GCC unroll 4
  for (int each = 0; each < Count; each++) x[each] *= multiply_add(limited[each], p[each], all_floats(0.5f));
}

}  // namespace
}  // namespace dino8
