// Where (https://onnx.ai/onnx/operators/onnx__Where.html).
#pragma once

#include <algorithm>
#include <type_traits>

#include "broadcast.h"
#include "element_types.h"
#include "ranges.h"

namespace dino8::engine {
namespace {

// Computes a piece of a row. A step is 0 for an input that repeats its element, otherwise 1.
using WhereRow = void (*)(const uint8_t* condition, int64_t step, const char* x, int64_t x_step, const char* y,
                          int64_t y_step, int64_t count, char* to);

template <class Number>
void where_row(const uint8_t* condition, int64_t step, const char* x_memory, int64_t x_step, const char* y_memory,
               int64_t y_step, int64_t count, char* memory) {
  const Number *x = reinterpret_cast<const Number*>(x_memory), *y = reinterpret_cast<const Number*>(y_memory);
  Number* __restrict to = reinterpret_cast<Number*>(memory);
  if (step == 0) {
    const Number* taken = *condition ? x : y;
    if ((*condition ? x_step : y_step) == 1) std::copy(taken, taken + count, to);
    else
      std::fill(to, to + count, *taken);
    return;
  }
  // Both elements are read in any case, so that compilers can make vectors of the loops with floats.
  const auto choose = [&](int64_t at, Number a, Number b) { to[at] = condition[at] ? a : b; };
  if (std::is_same<Number, float>::value && x_step == 1 && y_step == 1) {
    for (int64_t at = 0; at < count; at++) choose(at, x[at], y[at]);
  } else if (std::is_same<Number, float>::value && x_step == 1) {
    for (int64_t at = 0; at < count; at++) choose(at, x[at], *y);
  } else if (std::is_same<Number, float>::value && y_step == 1) {
    for (int64_t at = 0; at < count; at++) choose(at, *x, y[at]);
  } else {
    DINO8_SHORT_LOOP
    for (int64_t at = 0; at < count; at++) choose(at, x[at * x_step], y[at * y_step]);
  }
}

inline Problem apply_where(Run& run, const Tensor& condition, const Tensor& x, const Tensor& y, WhereRow row) {
  Broadcast<3> broadcast;
  const Shape* const shapes[] = {&condition.shape, &x.shape, &y.shape};
  if (const Problem problem = broadcast.set(shapes, x.element)) return problem;
  Tensor* out;
  if (const Problem problem = run.make_output(0, x.element, broadcast.shape(), out)) return problem;
  const int64_t bytes = static_cast<int64_t>(bytes_of(x.element));
  const uint8_t* conditions = condition.data<uint8_t>();
  const char *x_data = x.data<char>(), *y_data = y.data<char>();
  char* to = out->data<char>();
  for_each_range(run, broadcast.count(), kSimpleCost, [&](int64_t begin, int64_t end) {
    broadcast.for_rows(begin, end, [&](const int64_t* offsets, int64_t at, int64_t count) {
      row(conditions + offsets[0], broadcast.step(0), x_data + offsets[1] * bytes, broadcast.step(1),
          y_data + offsets[2] * bytes, broadcast.step(2), count, to + at * bytes);
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
    return apply_where(run, *inputs[0], *inputs[1], *inputs[2], where_row<Copied>);
  });
}

}  // namespace
}  // namespace dino8::engine
