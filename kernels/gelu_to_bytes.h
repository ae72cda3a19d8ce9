// The activation function Gelu with a result in bytes. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "exponential.h"
#include "float_vector.h"
#include "linear_layer.h"
#include "packed_weight.h"

namespace dino8 {
namespace {

// x · Φ(x) / scale + zero point, rounded to a byte, with Φ(x) = 1/2 + x · p(x²), but at most 1; below −3.94, where this is 0, x
// counts as −3.94. The coefficients of p are those of the smallest error of x · Φ(x), 1.6e-4, among the polynomials of this
// degree that do not fall below 1 again for a larger x. This is less than a tenth of a step of the bytes if their scale is above
// 0.0016. gelu.h has the function for results in floats.
class GeluToBytes {
 public:
  // The rounding of a moved bias is far below the error of the polynomial.
  static constexpr ZeroPointPlace kZeroPointPlace = ZeroPointPlace::kBias;

  explicit GeluToBytes(ByteRange range)
      : one_(1 / std::max(range.scale, kLeastScale)), half_(one_ / 2), zero_(kRounding + static_cast<float>(range.zero_point)) {
    constexpr float kCoefficients[kCount] = {2.47635512e-08f, -1.69725047e-06f, 4.98583904e-05f, -0.000831878919f,
                                             0.00885604601f,  -0.0647501871f,   0.398005366f};
    for (int at = 0; at < kCount; at++) p_[at] = range.scale > kMostScale ? 0 : kCoefficients[at] * one_;
    if (range.scale > kMostScale) p_[kCount - 1] = one_;
  }

  // Stores the bytes of some vectors. They go through it together, since each step of a polynomial waits for the one before.
  // What is not a number counts as the lowest x.
  template <int Count>
  void operator()(const FloatVector (&x)[Count], uint8_t* to) const {
    FloatVector raised[Count], square[Count], p[Count];
    IntVector bytes[Count];
#pragma GCC unroll 4
    for (int each = 0; each < Count; each++) {
      raised[each] = larger(x[each], all_floats(kLowest));
      square[each] = raised[each] * raised[each];
      p[each] = all_floats(p_[0]);
    }
#pragma GCC unroll 8
    for (int at = 1; at < kCount; at++) {
#pragma GCC unroll 4
      for (int each = 0; each < Count; each++) p[each] = multiply_add(p[each], square[each], all_floats(p_[at]));
    }
#pragma GCC unroll 4
    for (int each = 0; each < Count; each++) {
      const FloatVector factor = smaller(multiply_add(raised[each], p[each], all_floats(half_)), all_floats(one_));
      bytes[each] = bits_of(multiply_add(raised[each], factor, all_floats(zero_))) - kRoundingBits;
    }
    store_limited_bytes(to, bytes);
  }

 private:
  static constexpr float kLowest = -3.94155f;
  // The lowest results are about −0.17. By this scale they are far from where their sums with kRounding would be below 0.
  static constexpr float kLeastScale = 1.0f / (1 << 22);
  // By larger scales the first coefficients would underflow. Φ(x) is then 1 from x = 1/2 on: what is below is no step of the bytes.
  static constexpr float kMostScale = 1e27f;
  static constexpr int kCount = 7;
  // 1, 1/2, the zero point and the coefficients, in steps of the bytes.
  float one_, half_, zero_, p_[kCount];
};

}  // namespace
}  // namespace dino8
