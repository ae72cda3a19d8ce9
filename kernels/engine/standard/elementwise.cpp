// The operators of the standard that compute each element from the elements at its place
// (https://onnx.ai/onnx/operators/).
#include "../operators.h"
#include "binary.h"
#include "cast.h"
#include "unary.h"
#include "where.h"

namespace dino8::engine {
namespace {

// Before version 7, these operators had attributes that say how the second input is repeated.
template <Problem (*compute)(Run&)>
Problem make_broadcasting(const Node& node, std::unique_ptr<Operator>& out) {
  if (node.opset < 7) return "it is of a version before 7, which is not supported";
  return make_stateless<compute>(node, out);
}

constexpr OperatorEntry kEntries[] = {
    {"", "Abs", make_stateless<unary<Absolute, float, int32_t, int64_t, int8_t, uint8_t>>},
    {"", "Add", make_broadcasting<arithmetic<Plus>>},
    {"", "And", make_broadcasting<comparison<Both, false, Truth>>},
    {"", "Cast", make_operator<Cast>},
    {"", "Ceil", make_stateless<unary<Ceiling, float>>},
    {"", "Clip", make_operator<Clip>},
    {"", "Cos", make_stateless<sine_or_cosine<true>>},
    {"", "Div", make_broadcasting<division<Quotient, float, int64_t, int32_t, uint8_t, int8_t>>},
    {"", "Equal", make_broadcasting<comparison<IsEqual, false, float, int64_t, int32_t, uint8_t, int8_t, Truth>>},
    {"", "Erf", make_stateless<unary<ErrorFunction, float>>},
    {"", "Exp", make_stateless<unary_vectors<whole_exponential>>},
    {"", "Floor", make_stateless<unary<Floor, float>>},
    {"", "Gelu", make_operator<Gelu>},
    {"", "Greater", make_broadcasting<comparison<IsGreater, false, float, int64_t, int32_t, uint8_t, int8_t>>},
    {"", "GreaterOrEqual",
     make_stateless<comparison<IsGreaterOrEqual, false, float, int64_t, int32_t, uint8_t, int8_t>>},
    {"", "Less", make_broadcasting<comparison<IsGreater, true, float, int64_t, int32_t, uint8_t, int8_t>>},
    {"", "LessOrEqual", make_stateless<comparison<IsGreaterOrEqual, true, float, int64_t, int32_t, uint8_t, int8_t>>},
    {"", "Log", make_stateless<unary<Logarithm, float>>},
    {"", "Max", make_stateless<extreme<Larger>>},
    {"", "Min", make_stateless<extreme<Smaller>>},
    {"", "Mod", make_operator<Mod>},
    {"", "Mul", make_broadcasting<arithmetic<Times>>},
    {"", "Neg", make_stateless<unary<Negative, float, int32_t, int64_t, int8_t>>},
    {"", "Not", make_stateless<unary<Not, Truth>>},
    {"", "Or", make_broadcasting<comparison<Either, false, Truth>>},
    {"", "Pow", make_broadcasting<power>},
    {"", "Reciprocal", make_stateless<unary<Reciprocal, float>>},
    {"", "Relu", make_stateless<unary<Relu, float, int32_t, int64_t, int8_t>>},
    {"", "Round", make_stateless<unary<Round, float>>},
    {"", "Sigmoid", make_stateless<unary_vectors<sigmoid>>},
    {"", "Sin", make_stateless<sine_or_cosine<false>>},
    {"", "Sqrt", make_stateless<unary<SquareRoot, float>>},
    {"", "Sub", make_broadcasting<arithmetic<Minus>>},
    {"", "Tanh", make_stateless<unary_vectors<hyperbolic_tangent>>},
    {"", "Where", make_stateless<where>},
};

}  // namespace

OperatorTable elementwise_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
