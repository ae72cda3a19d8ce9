// Residual sums, in floats or in numbers that bytes stand for. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>

#include "linear_layer.h"
#include "moments_so_far.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// The numbers nearest to those of a vector that bytes stand for.
class ByteRounding {
 public:
  explicit ByteRounding(ByteRange range)
      : scale_(range.scale), inverse_(1 / range.scale), lowest_(-static_cast<float>(range.zero_point)) {}

  FloatVector operator()(FloatVector value) const {
    const FloatVector raised = larger(value * inverse_, all_floats(lowest_));
    return ((smaller(raised, all_floats(lowest_ + 255)) + kRounding) - kRounding) * scale_;
  }

 private:
  float scale_, inverse_, lowest_;
};

class ResidualSum {
 public:
  explicit ResidualSum(const ResidualRounding& rounding)
      : is_rounded_(rounding.is_rounded), x_(rounding.x), branch_(rounding.branch), sum_(rounding.sum) {}

  FloatVector operator()(FloatVector x, FloatVector branch) const {
    return is_rounded_ ? sum_(x_(x) + branch_(branch)) : x + branch;
  }

  // y = x + y over `count` numbers. The last vector of a row is computed before its numbers are overwritten.
  void add(const float* x, int64_t count, float* y) const {
    const int64_t last = count - kFloatLanes;
    float few[2][kFloatLanes] = {};
    if (last < 0) {
      std::copy(x, x + count, few[0]);
      std::copy(y, y + count, few[1]);
      store_floats(few[1], (*this)(load_floats(few[0]), load_floats(few[1])));
      std::copy(few[1], few[1] + count, y);
      return;
    }
    const FloatVector end = (*this)(load_floats(x + last), load_floats(y + last));
    for (int64_t at = 0; at < last; at += kFloatLanes)
      store_floats(y + at, (*this)(load_floats(x + at), load_floats(y + at)));
    store_floats(y + last, end);
  }

  // y = x + results for the first `columns` columns.
  template <class Results>
  void store(const float* x, int64_t columns, const Results& results, float* y) const {
    const int64_t count = results.known_count(columns);
    int64_t at = 0;
    for (; at + kFloatLanes <= count; at += kFloatLanes)
      store_floats(y + at, (*this)(load_floats(x + at), results.vector(at)));
    if (at == count) return;
    float few[kFloatLanes] = {};
    std::copy(x + at, x + count, few);
    store_floats(few, (*this)(load_floats(few), results.vector(at)));
    std::copy(few, few + (count - at), y + at);
  }

  // The same for `columns` columns, a multiple of 16, from `column` of a row on, whose moments are added to `moments`.
  template <class Results>
  void store(const float* x, int64_t columns, const Results& results, float* y, int64_t column, MomentsSoFar& moments) const {
    MomentsSoFar sums = moments;
    take_vectors(results.known_count(columns), [&](auto vectors, int64_t at) {
      constexpr int kCount = vectors;
      FloatVector some[kCount];
#pragma GCC unroll 4
      for (int each = 0; each < kCount; each++) {
        const int64_t place = at + each * kFloatLanes;
        some[each] = (*this)(load_floats(x + place), results.vector(place));
        store_floats(y + place, some[each]);
      }
      sums.add(some, column + at);
    });
    moments = sums;
  }

 private:
  bool is_rounded_;
  ByteRounding x_, branch_, sum_;
};

}  // namespace
}  // namespace dino8
