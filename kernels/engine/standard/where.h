// Where (https://onnx.ai/onnx/operators/onnx__Where.html).
#pragma once

#include <algorithm>
#include <type_traits>

#include "broadcast.h"
#include "element_types.h"
#include "ranges.h"

namespace dino8::engine {
namespace {

template <class Number>
void where_row(const uint8_t* condition, bool is_one_condition, const Number* x, int64_t x_step, const Number* y,
               int64_t y_step, int64_t count, Number* __restrict to) {
  if (is_one_condition) {
    const Number* taken = *condition ? x : y;
    if ((*condition ? x_step : y_step) == 1) std::copy(taken, taken + count, to);
    else
      std::fill(to, to + count, *taken);
  } else if (x_step == 1 && y_step == 1) {
    for (int64_t at = 0; at < count; at++) to[at] = condition[at] ? x[at] : y[at];
  } else {
    for (int64_t at = 0; at < count; at++) to[at] = condition[at] ? x[at * x_step] : y[at * y_step];
  }
}

template <class Number>
Problem where_of(Run& run, const Tensor& condition, const Tensor& x, const Tensor& y) {
  Broadcast<3> broadcast;
  const Shape* const shapes[] = {&condition.shape, &x.shape, &y.shape};
  if (const Problem problem = broadcast.set(shapes, x.element)) return problem;
  Tensor* out;
  if (const Problem problem = run.make_output(0, x.element, broadcast.shape(), out)) return problem;
  const uint8_t* conditions = condition.data<uint8_t>();
  const Number *x_data = x.data<Number>(), *y_data = y.data<Number>();
  Number* to = out->data<Number>();
  for_each_range(run, broadcast.count(), 1, [&](int64_t begin, int64_t end) {
    broadcast.for_rows(begin, end, [&](const int64_t* offsets, int64_t at, int64_t count) {
      where_row(conditions + offsets[0], broadcast.step(0) == 0, x_data + offsets[1], broadcast.step(1), y_data + offsets[2],
                broadcast.step(2), count, to + at);
    });
  });
  return nullptr;
}

inline Problem where(Run& run) {
  const Tensor* inputs[3];
  if (const Problem problem = take_inputs(run, 3, inputs)) return problem;
  if (inputs[0]->element != Element::kBool) return kWrongType;
  if (inputs[1]->element != inputs[2]->element) return "its inputs have different types";
  return for_element<float, int32_t, int64_t, uint8_t, int8_t, Truth>(inputs[1]->element, [&](auto number) {
    // Bytes are copied as they are.
    using Copied = std::conditional_t<sizeof(number) == 1, uint8_t, decltype(number)>;
    return where_of<Copied>(run, *inputs[0], *inputs[1], *inputs[2]);
  });
}

}  // namespace
}  // namespace dino8::engine
