// Functions of the elements of two tensors, or more, that meet by broadcasting.
#pragma once

#include <cmath>
#include <type_traits>

#include "broadcast.h"
#include "element_types.h"
#include "ranges.h"

namespace dino8::engine {
namespace {

// Computes a piece of a row of a result. The step of an input is 0 if it repeats its element, otherwise 1.
using BinaryRow = void (*)(const char* a, int64_t a_step, const char* b, int64_t b_step, int64_t count, char* to);

template <class In, class Out, class Function>
void binary_row(const char* a_memory, int64_t a_step, const char* b_memory, int64_t b_step, int64_t count,
                char* memory) {
  constexpr Function function{};
  const In *a = reinterpret_cast<const In*>(a_memory), *b = reinterpret_cast<const In*>(b_memory);
  Out* __restrict to = reinterpret_cast<Out*>(memory);
  if constexpr (std::is_same<In, float>::value) {
    // Loops of which compilers make vectors.
    if (a_step == 0) {
      const In value = *a;
      for (int64_t at = 0; at < count; at++) to[at] = function(value, b[at]);
    } else if (b_step == 0) {
      const In value = *b;
      for (int64_t at = 0; at < count; at++) to[at] = function(a[at], value);
    } else {
      for (int64_t at = 0; at < count; at++) to[at] = function(a[at], b[at]);
    }
  } else {
    DINO8_SHORT_LOOP
    for (int64_t at = 0; at < count; at++) to[at] = function(a[at * a_step], b[at * b_step]);
  }
}

// Computes the output of a run or, if it is not null, `temporary`. This is one function for all types and operators, so
// that there is less code for pages to load.
inline Problem apply_binary(Run& run, const Tensor& a, const Tensor& b, Element element, BinaryRow row,
                            Tensor* temporary = nullptr) {
  Broadcast<2> broadcast;
  const Shape* const shapes[] = {&a.shape, &b.shape};
  if (const Problem problem = broadcast.set(shapes, element)) return problem;
  Tensor* out = temporary;
  const int64_t bytes = static_cast<int64_t>(bytes_of(element));
  if (temporary) {
    *temporary = {element, broadcast.shape(), allocate(broadcast.count() * bytes)};
    if (!temporary->memory) return kNoMemory;
  } else if (const Problem problem = run.make_output(0, element, broadcast.shape(), out)) {
    return problem;
  }
  const int64_t a_bytes = static_cast<int64_t>(bytes_of(a.element));
  const int64_t b_bytes = static_cast<int64_t>(bytes_of(b.element));
  const char *a_data = a.data<char>(), *b_data = b.data<char>();
  char* to = out->data<char>();
  for_each_range(run, broadcast.count(), kSimpleCost, [&](int64_t begin, int64_t end) {
    broadcast.for_rows(begin, end, [&](const int64_t* offsets, int64_t at, int64_t count) {
      row(a_data + offsets[0] * a_bytes, broadcast.step(0), b_data + offsets[1] * b_bytes, broadcast.step(1), count,
          to + at * bytes);
    });
  });
  return nullptr;
}

inline Problem take_two(const Run& run, const Tensor* (&inputs)[2]) {
  if (const Problem problem = take_inputs(run, 2, inputs)) return problem;
  return inputs[0]->element == inputs[1]->element ? nullptr : "its inputs have different types";
}

// Arithmetic of integers wraps around.
struct Plus {
  template <class Number>
  Number operator()(Number a, Number b) const {
    if constexpr (std::is_integral<Number>::value) {
      using Bits = std::make_unsigned_t<Number>;
      return static_cast<Number>(static_cast<Bits>(a) + static_cast<Bits>(b));
    } else {
      return a + b;
    }
  }
};

struct Minus {
  template <class Number>
  Number operator()(Number a, Number b) const {
    if constexpr (std::is_integral<Number>::value) {
      using Bits = std::make_unsigned_t<Number>;
      return static_cast<Number>(static_cast<Bits>(a) - static_cast<Bits>(b));
    } else {
      return a - b;
    }
  }
};

struct Times {
  template <class Number>
  Number operator()(Number a, Number b) const {
    if constexpr (std::is_integral<Number>::value) {
      using Bits = std::make_unsigned_t<Number>;
      return static_cast<Number>(static_cast<Bits>(a) * static_cast<Bits>(b));
    } else {
      return a * b;
    }
  }
};

// The smallest integer by −1 has no result of its type, so processors may stop at it.
template <class Number>
constexpr bool is_minus_one(Number b) {
  return std::is_signed<Number>::value && b == static_cast<Number>(-1);
}

struct Quotient {
  template <class Number>
  Number operator()(Number a, Number b) const {
    if constexpr (std::is_integral<Number>::value)
      return is_minus_one(b) ? Minus{}(Number{0}, a) : static_cast<Number>(a / b);
    else
      return a / b;
  }
};

// The remainder with the sign of the dividend, as fmod of C.
struct Remainder {
  template <class Number>
  Number operator()(Number a, Number b) const {
    if constexpr (std::is_integral<Number>::value) return is_minus_one(b) ? Number{0} : static_cast<Number>(a % b);
    else return std::fmod(a, b);
  }
};

// The remainder of integers with the sign of the divisor.
struct Modulus {
  template <class Number>
  Number operator()(Number a, Number b) const {
    const Number rest = Remainder{}(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? static_cast<Number>(rest + b) : rest;
  }
};

// NaN if a number is NaN.
struct Larger {
  template <class Number>
  Number operator()(Number a, Number b) const { return a > b || a != a ? a : b; }
};

struct Smaller {
  template <class Number>
  Number operator()(Number a, Number b) const { return a < b || a != a ? a : b; }
};

// clang-format off
struct IsEqual {
  template <class Number>
  Truth operator()(Number a, Number b) const { return {a == b}; }
  Truth operator()(Truth a, Truth b) const { return {(a.byte != 0) == (b.byte != 0)}; }
};
struct IsGreater {
  template <class Number>
  Truth operator()(Number a, Number b) const { return {a > b}; }
};
struct IsGreaterOrEqual {
  template <class Number>
  Truth operator()(Number a, Number b) const { return {a >= b}; }
};
struct Both { Truth operator()(Truth a, Truth b) const { return {a.byte != 0 && b.byte != 0}; } };
struct Either { Truth operator()(Truth a, Truth b) const { return {(a.byte | b.byte) != 0}; } };
// clang-format on

template <class Function>
Problem arithmetic(Run& run) {
  const Tensor* inputs[2];
  if (const Problem problem = take_two(run, inputs)) return problem;
  return for_element<float, int64_t, int32_t, uint8_t, int8_t>(inputs[0]->element, [&](auto number) {
    using Number = decltype(number);
    return apply_binary(run, *inputs[0], *inputs[1], kElementOf<Number>, binary_row<Number, Number, Function>);
  });
}

template <class Number>
bool has_zero(const Tensor& tensor) {
  const Number* data = tensor.data<Number>();
  for (int64_t at = 0, count = tensor.shape.count(); at < count; at++)
    if (data[at] == 0) return true;
  return false;
}

template <class Function, class... Numbers>
Problem division(Run& run) {
  const Tensor* inputs[2];
  if (const Problem problem = take_two(run, inputs)) return problem;
  return for_element<Numbers...>(inputs[0]->element, [&](auto number) -> Problem {
    using Number = decltype(number);
    if (std::is_integral<Number>::value && inputs[0]->shape.count() > 0 && has_zero<Number>(*inputs[1]))
      return "it divides an integer by 0";
    return apply_binary(run, *inputs[0], *inputs[1], kElementOf<Number>, binary_row<Number, Number, Function>);
  });
}

// Less is Greater with the inputs swapped.
template <class Function, bool is_swapped, class... Elements>
Problem comparison(Run& run) {
  const Tensor* inputs[2];
  if (const Problem problem = take_two(run, inputs)) return problem;
  return for_element<Elements...>(inputs[0]->element, [&](auto number) {
    constexpr BinaryRow kRow = binary_row<decltype(number), Truth, Function>;
    return apply_binary(run, *inputs[is_swapped], *inputs[!is_swapped], Element::kBool, kRow);
  });
}

// Max and Min, of any number of inputs.
template <class Function>
Problem extreme(Run& run) {
  const size_t count = run.inputs();
  if (count == 0) return kMissingInput;
  for (size_t index = 0; index < count; index++) {
    if (run.input(index) == nullptr) return kMissingInput;
    if (run.input(index)->element != run.input(0)->element) return "its inputs have different types";
  }
  return for_element<float, int64_t, int32_t, uint8_t, int8_t>(run.input(0)->element, [&](auto number) -> Problem {
    using Number = decltype(number);
    constexpr BinaryRow kRow = binary_row<Number, Number, Function>;
    constexpr Element kElement = kElementOf<Number>;
    Tensor so_far = *run.input(0);
    if (count == 1) return run.set_output(0, so_far), nullptr;
    for (size_t index = 1; index + 1 < count; index++) {
      Tensor next;
      if (const Problem problem = apply_binary(run, so_far, *run.input(index), kElement, kRow, &next)) return problem;
      so_far = next;
    }
    return apply_binary(run, so_far, *run.input(count - 1), kElement, kRow);
  });
}

// https://onnx.ai/onnx/operators/onnx__Mod.html
class Mod : public Operator {
 public:
  Problem start(const Node& node) {
    by_c_ = node.integer("fmod", 0) != 0;
    return nullptr;
  }
  Problem run(Run& run) override {
    const Tensor* first = run.input(0);
    if (by_c_) return division<Remainder, float, int64_t, int32_t, uint8_t, int8_t>(run);
    if (first && first->element == Element::kFloat) return "its attribute fmod has to be 1 for floats";
    return division<Modulus, int64_t, int32_t, uint8_t, int8_t>(run);
  }

 private:
  bool by_c_ = false;
};

// x^y of floats, where y may be an integer.
template <class Exponent>
void power_row(const char* x_memory, int64_t x_step, const char* y_memory, int64_t y_step, int64_t count,
               char* memory) {
  const float* x = reinterpret_cast<const float*>(x_memory);
  const Exponent* y = reinterpret_cast<const Exponent*>(y_memory);
  float* __restrict to = reinterpret_cast<float*>(memory);
  if (x_step == 1 && y_step == 0 && *y == 2)
    for (int64_t at = 0; at < count; at++) to[at] = x[at] * x[at];
  else
    for (int64_t at = 0; at < count; at++) to[at] = std::pow(x[at * x_step], static_cast<float>(y[at * y_step]));
}

inline Problem power(Run& run) {
  const Tensor* inputs[2];
  if (const Problem problem = take_inputs(run, 2, inputs)) return problem;
  if (inputs[0]->element != Element::kFloat) return kWrongType;
  return for_element<float, int32_t, int64_t>(inputs[1]->element, [&](auto exponent) {
    return apply_binary(run, *inputs[0], *inputs[1], Element::kFloat, power_row<decltype(exponent)>);
  });
}

}  // namespace
}  // namespace dino8::engine
