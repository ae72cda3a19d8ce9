// Cast (https://onnx.ai/onnx/operators/onnx__Cast.html).
#pragma once

#include <limits>
#include <type_traits>

#include "element_types.h"
#include "unary.h"

namespace dino8::engine {
namespace {

// Integers lose the bits that do not fit. Floats are rounded towards 0; where the standard leaves the result open,
// those that are too large or too small become the largest or smallest integer, and NaN becomes 0.
template <class Out, class In>
Out convert(In value) {
  if constexpr (std::is_same<In, Truth>::value) {
    return static_cast<Out>(value.byte != 0);
  } else if constexpr (std::is_same<Out, Truth>::value) {
    return {value != 0};
  } else if constexpr (std::is_same<In, float>::value && std::is_integral<Out>::value) {
    using Limits = std::numeric_limits<Out>;
    constexpr float kLowest = static_cast<float>(Limits::lowest());
    constexpr float kBeyond = static_cast<float>(Limits::max() / 2 + 1) * 2;
    if (value >= kBeyond) return Limits::max();
    if (value <= kLowest) return Limits::lowest();
    return value == value ? static_cast<Out>(value) : Out{0};
  } else {
    return static_cast<Out>(value);
  }
}

template <class In, class Out>
struct Conversion {
  Out operator()(In value) const { return convert<Out>(value); }
};

class Cast : public Operator {
 public:
  Problem start(const Node& node) {
    to_ = static_cast<Element>(node.integer("to", 0));
    return bytes_of(to_) > 0 ? nullptr : "it casts to a type that is not supported";
  }

  Problem run(Run& run) override {
    const Tensor* inputs[1];
    if (const Problem problem = take_inputs(run, 1, inputs)) return problem;
    const Tensor& input = *inputs[0];
    if (input.element == to_) return run.set_output(0, input), nullptr;
    return for_element<float, int32_t, int64_t, uint8_t, int8_t, Truth>(to_, [&](auto to) {
      using Out = decltype(to);
      return for_element<float, int32_t, int64_t, uint8_t, int8_t, Truth>(input.element, [&](auto from) -> Problem {
        using In = decltype(from);
        if constexpr (std::is_same<In, Out>::value) return kWrongType;  // never, because the types differ
        else return apply_unary(run, input, to_, unary_row<In, Out, Conversion<In, Out>>);
      });
    });
  }

 private:
  Element to_ = Element::kFloat;
};

}  // namespace
}  // namespace dino8::engine
