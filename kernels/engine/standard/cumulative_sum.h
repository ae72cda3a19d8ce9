// CumSum (https://onnx.ai/onnx/operators/onnx__CumSum.html).
#pragma once

#include <algorithm>

#include "binary.h"
#include "checks.h"
#include "element_types.h"
#include "ranges.h"

namespace dino8::engine {
namespace {

class CumulativeSum : public Operator {
 public:
  Problem start(const Node& node) {
    is_exclusive_ = node.integer("exclusive", 0) != 0;
    is_reverse_ = node.integer("reverse", 0) != 0;
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[2];
    if (const Problem problem = take_inputs(run, 2, inputs)) return problem;
    const Shape& shape = inputs[0]->shape;
    int64_t number;
    size_t axis;
    if (const Problem problem = read_integer(*inputs[1], number)) return problem;
    if (const Problem problem = resolve_axis(number, shape.rank, axis)) return problem;
    return for_element<float, int64_t, int32_t>(inputs[0]->element, [&](auto element) -> Problem {
      using Number = decltype(element);
      Tensor* out;
      if (const Problem problem = run.make_output(0, inputs[0]->element, shape, out)) return problem;
      if (shape.count() == 0) return nullptr;
      const AroundAxis around = around_axis(shape, axis);
      const int64_t block = around.size * around.inner;
      for_each_range(run, around.outer, 2 * kSimpleCost * static_cast<double>(block), [&](int64_t begin, int64_t end) {
        for (int64_t at = begin * block; at < end * block; at += block)
          sum(inputs[0]->data<Number>() + at, around.size, around.inner, out->data<Number>() + at);
      });
      return nullptr;
    });
  }

 private:
  // The sums along the rows of [size, inner].
  template <class Number>
  void sum(const Number* from, int64_t size, int64_t inner, Number* to) const {
    const int64_t step = is_reverse_ ? -inner : inner;
    const int64_t first = is_reverse_ ? (size - 1) * inner : 0;
    if (is_exclusive_) std::fill(to + first, to + first + inner, Number{0});
    else
      std::copy(from + first, from + first + inner, to + first);
    if (inner == 1) {
      Number so_far = to[first];
      for (int64_t row = 1, at = first + step; row < size; row++, at += step)
        to[at] = so_far = Plus{}(so_far, from[is_exclusive_ ? at - step : at]);
      return;
    }
    for (int64_t row = 1; row < size; row++) {
      const int64_t at = first + row * step;
      const Number *before = to + at - step, *added = from + (is_exclusive_ ? at - step : at);
      for (int64_t column = 0; column < inner; column++) to[at + column] = Plus{}(before[column], added[column]);
    }
  }

  bool is_exclusive_ = false, is_reverse_ = false;
};

}  // namespace
}  // namespace dino8::engine
