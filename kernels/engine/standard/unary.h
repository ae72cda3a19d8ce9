// Functions of each element of one tensor.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "../../gelu.h"
#include "checks.h"
#include "element_types.h"
#include "ranges.h"
#include "sine.h"
#include "vector_math.h"

namespace dino8::engine {
namespace {

// Computes some elements of an output, with the constants of an operator.
using UnaryRow = void (*)(const void* constants, const char* from, int64_t count, char* to);

// Makes an output of the input's shape. This is one function for all types and operators, so that there is less code
// for pages to load.
inline Problem apply_unary(Run& run, const Tensor& input, Element element, UnaryRow row,
                           const void* constants = nullptr, double cost = kSimpleCost) {
  Tensor* out;
  if (const Problem problem = make_checked_output(run, 0, element, input.shape, out)) return problem;
  const int64_t from_bytes = static_cast<int64_t>(bytes_of(input.element));
  const int64_t bytes = static_cast<int64_t>(bytes_of(element));
  const char* from = input.data<char>();
  char* to = out->data<char>();
  for_each_range(run, input.shape.count(), cost, [&](int64_t begin, int64_t end) {
    row(constants, from + begin * from_bytes, end - begin, to + begin * bytes);
  });
  return nullptr;
}

// The elements become `function(element)`, where the function consists of the constants. Compilers make vectors of the
// loops with floats.
template <class In, class Out, class Function>
void unary_row(const void* constants, const char* from_memory, int64_t count, char* memory) {
  const Function function = constants ? *static_cast<const Function*>(constants) : Function{};
  const In* from = reinterpret_cast<const In*>(from_memory);
  Out* __restrict to = reinterpret_cast<Out*>(memory);
  if constexpr (std::is_same<Out, float>::value) {
    for (int64_t at = 0; at < count; at++) to[at] = function(from[at]);
  } else {
    DINO8_SHORT_LOOP
    for (int64_t at = 0; at < count; at++) to[at] = function(from[at]);
  }
}

template <class Function, class... Numbers>
Problem unary(Run& run) {
  const Tensor* inputs[1];
  if (const Problem problem = take_inputs(run, 1, inputs)) return problem;
  return for_element<Numbers...>(inputs[0]->element, [&](auto number) {
    using Number = decltype(number);
    return apply_unary(run, *inputs[0], kElementOf<Number>, unary_row<Number, Number, Function>);
  });
}

template <FloatVector (*function)(FloatVector)>
Problem unary_vectors(Run& run) {
  const Tensor* inputs[1];
  if (const Problem problem = take_inputs(run, Element::kFloat, inputs)) return problem;
  const UnaryRow row = [](const void*, const char* from, int64_t count, char* to) {
    map_vectors(reinterpret_cast<const float*>(from), count, reinterpret_cast<float*>(to),
                [](FloatVector value) { return function(value); });
  };
  return apply_unary(run, *inputs[0], Element::kFloat, row, nullptr, kPowerCost);
}

template <bool is_cosine>
void sine_row(const void*, const char* from_memory, int64_t count, char* memory) {
  const float* from = reinterpret_cast<const float*>(from_memory);
  float* to = reinterpret_cast<float*>(memory);
  if (are_near_for_sine(from, count))
    return map_vectors(from, count, to, [](FloatVector x) { return sine<is_cosine>(x); });
  for (int64_t at = 0; at < count; at++) to[at] = is_cosine ? std::cos(from[at]) : std::sin(from[at]);
}

template <bool is_cosine>
Problem sine_or_cosine(Run& run) {
  const Tensor* inputs[1];
  if (const Problem problem = take_inputs(run, Element::kFloat, inputs)) return problem;
  return apply_unary(run, *inputs[0], Element::kFloat, sine_row<is_cosine>, nullptr, kPowerCost);
}

// e^x as the square of e^(x / 2), because `exponential` is not for large numbers.
inline FloatVector whole_exponential(FloatVector x) {
  const FloatVector root = exponential(0.5f * x);
  return root * root;
}

struct Relu {
  // NaN stays NaN.
  template <class Number>
  Number operator()(Number x) const { return x < 0 ? Number{0} : x; }
};

struct Negative {
  template <class Number>
  Number operator()(Number x) const {
    if constexpr (std::is_integral<Number>::value) return static_cast<Number>(std::make_unsigned_t<Number>{0} - x);
    else return -x;
  }
};

struct Absolute {
  template <class Number>
  Number operator()(Number x) const {
    if constexpr (std::is_integral<Number>::value) return x < 0 ? Negative{}(x) : x;
    else return std::fabs(x);
  }
};

// clang-format off
struct Floor { float operator()(float x) const { return std::floor(x); } };
struct Ceiling { float operator()(float x) const { return std::ceil(x); } };
struct Round { float operator()(float x) const { return std::nearbyint(x); } };  // half to even
struct SquareRoot { float operator()(float x) const { return std::sqrt(x); } };
struct Reciprocal { float operator()(float x) const { return 1 / x; } };
struct Logarithm { float operator()(float x) const { return std::log(x); } };
struct ErrorFunction { float operator()(float x) const { return std::erf(x); } };
struct Not { Truth operator()(Truth x) const { return {x.byte == 0}; } };
// clang-format on

inline FloatVector gelu_of(FloatVector x) {
  FloatVector values[] = {x};
  gelu(values);
  return values[0];
}

// https://onnx.ai/onnx/operators/onnx__Gelu.html
class Gelu : public Operator {
 public:
  Problem start(const Node& node) {
    const std::string approximate = node.text("approximate", "none");
    by_tanh_ = approximate == "tanh";
    return by_tanh_ || approximate == "none" ? nullptr : "its attribute approximate is neither none nor tanh";
  }
  Problem run(Run& run) override { return by_tanh_ ? unary_vectors<gelu_by_tanh>(run) : unary_vectors<gelu_of>(run); }

 private:
  bool by_tanh_ = false;
};

// https://onnx.ai/onnx/operators/onnx__Clip.html
class Clip : public Operator {
 public:
  // Before version 11, the limits are attributes.
  Problem start(const Node& node) {
    has_attributes_ = node.opset < 11;
    low_ = node.number("min", low_);
    high_ = node.number("max", high_);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[3];
    if (const Problem problem = take_inputs(run, 1, inputs)) return problem;
    return for_element<float, int32_t, int64_t, int8_t, uint8_t>(inputs[0]->element, [&](auto number) -> Problem {
      using Number = decltype(number);
      Number low = std::numeric_limits<Number>::lowest(), high = std::numeric_limits<Number>::max();
      if (has_attributes_) {
        if (inputs[1] || inputs[2]) return "it has too many inputs";
        if (!std::is_same<Number, float>::value) return kWrongType;
        low = static_cast<Number>(low_);
        high = static_cast<Number>(high_);
      }
      if (const Problem problem = read_limit(inputs[1], low)) return problem;
      if (const Problem problem = read_limit(inputs[2], high)) return problem;
      const Limits<Number> limits{low, high};
      return apply_unary(run, *inputs[0], kElementOf<Number>, unary_row<Number, Number, Limits<Number>>, &limits);
    });
  }

 private:
  template <class Number>
  struct Limits {
    Number low, high;
    // NaN stays NaN, and a minimum above the maximum makes everything the maximum.
    Number operator()(Number x) const {
      const Number raised = x < low ? low : x;
      return raised > high ? high : raised;
    }
  };

  template <class Number>
  static Problem read_limit(const Tensor* limit, Number& out) {
    if (limit == nullptr) return nullptr;
    if (limit->element != kElementOf<Number>) return "its limits do not have the type of its input";
    if (limit->shape.count() != 1) return "its limits are not single numbers";
    out = *limit->data<Number>();
    return nullptr;
  }

  bool has_attributes_ = false;
  float low_ = std::numeric_limits<float>::lowest(), high_ = std::numeric_limits<float>::max();
};

}  // namespace
}  // namespace dino8::engine
