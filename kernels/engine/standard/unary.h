// Functions of each element of one tensor.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "../../gelu.h"
#include "element_types.h"
#include "ranges.h"
#include "vector_math.h"

namespace dino8::engine {
namespace {

// Makes an output of the input's shape, and calls `map(from, count, to)` for its parts.
template <class In, class Out, class Map>
Problem map_parts(Run& run, const Tensor& input, const Map& map) {
  Tensor* out;
  if (const Problem problem = run.make_output(0, kElementOf<Out>, input.shape, out)) return problem;
  const In* from = input.data<In>();
  Out* to = out->data<Out>();
  for_each_range(run, input.shape.count(), 1,
                 [&](int64_t begin, int64_t end) { map(from + begin, end - begin, to + begin); });
  return nullptr;
}

// The same for `function(element)`.
template <class In, class Out, class Function>
Problem map_elements(Run& run, const Tensor& input, const Function& function) {
  return map_parts<In, Out>(run, input, [&](const In* from, int64_t count, Out* __restrict to) {
    for (int64_t at = 0; at < count; at++) to[at] = function(from[at]);
  });
}

template <class Function, class... Numbers>
Problem unary(Run& run) {
  const Tensor* inputs[1];
  if (const Problem problem = take_inputs(run, 1, inputs)) return problem;
  return for_element<Numbers...>(inputs[0]->element, [&](auto number) {
    using Number = decltype(number);
    return map_elements<Number, Number>(run, *inputs[0], Function{});
  });
}

template <FloatVector (*function)(FloatVector)>
Problem unary_vectors(Run& run) {
  const Tensor* inputs[1];
  if (const Problem problem = take_inputs(run, Element::kFloat, inputs)) return problem;
  return map_parts<float, float>(run, *inputs[0], [](const float* from, int64_t count, float* to) {
    map_vectors(from, count, to, [](FloatVector value) { return function(value); });
  });
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
struct Sine { float operator()(float x) const { return std::sin(x); } };
struct Cosine { float operator()(float x) const { return std::cos(x); } };
struct Logarithm { float operator()(float x) const { return std::log(x); } };
struct ErrorFunction { float operator()(float x) const { return std::erf(x); } };
struct Not { Truth operator()(Truth x) const { return {x.byte == 0}; } };
// clang-format on

// https://onnx.ai/onnx/operators/onnx__Gelu.html
class Gelu : public Operator {
 public:
  Problem start(const Node& node) {
    const std::string approximate = node.text("approximate", "none");
    by_tanh_ = approximate == "tanh";
    return by_tanh_ || approximate == "none" ? nullptr : "its attribute approximate is neither none nor tanh";
  }
  Problem run(Run& run) override { return by_tanh_ ? unary_vectors<gelu_by_tanh>(run) : unary_vectors<gelu>(run); }

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
      // NaN stays NaN, and a minimum above the maximum makes everything the maximum.
      return map_elements<Number, Number>(run, *inputs[0], [=](Number x) {
        const Number raised = x < low ? low : x;
        return raised > high ? high : raised;
      });
    });
  }

 private:
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
