// The operators of the standard that normalize rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../../layer_norm.h"
#include "../operators.h"
#include "checks.h"
#include "element_types.h"
#include "ranges.h"
#include "scratch.h"
#include "vector_math.h"

namespace dino8::engine {
namespace {

// https://onnx.ai/onnx/operators/onnx__LayerNormalization.html
class LayerNormalization : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", -1);
    epsilon_ = node.number("epsilon", 1e-5f);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[3];
    if (const Problem problem = take_inputs(run, 2, inputs)) return problem;
    for (const Tensor* input : inputs)
      if (input && input->element != Element::kFloat) return kWrongType;
    if (run.has_output(1) || run.has_output(2)) return "its outputs behind the first one are not supported";
    const Shape& shape = inputs[0]->shape;
    size_t axis;
    if (const Problem problem = resolve_axis(axis_, shape.rank, axis)) return problem;
    const int64_t rows = shape.count(0, axis), count = shape.count(axis, shape.rank);
    for (size_t index = 1; index < 3; index++)
      if (inputs[index] && inputs[index]->shape.count() != count) return kWrongShape;
    Tensor* out;
    if (const Problem problem = run.make_output(0, Element::kFloat, shape, out)) return problem;
    if (shape.count() == 0) return nullptr;
    const Scratch<float> zeros(inputs[2] ? 0 : count);
    if (!zeros) return kNoMemory;
    if (!inputs[2]) std::fill(zeros.data(), zeros.data() + count, 0.0f);
    const float *from = inputs[0]->data<float>(), *scale = inputs[1]->data<float>();
    const float* bias = inputs[2] ? inputs[2]->data<float>() : zeros.data();
    float* to = out->data<float>();
    for_each_range(run, rows, 2 * kSimpleCost * static_cast<double>(count), [&](int64_t begin, int64_t end) {
      layer_norms(from + begin * count, end - begin, count, scale, bias, epsilon_, to + begin * count);
    });
    return nullptr;
  }

 private:
  int64_t axis_ = -1;
  float epsilon_ = 1e-5f;
};

// The sum of `function(x)` over `count` numbers, which makes 0 of the value `filler`.
template <class Function>
float sum_by(const float* from, int64_t count, float filler, const Function& function) {
  FloatVector sums[2] = {};
  int64_t at = 0;
  for (; at + 2 * kFloatLanes <= count; at += 2 * kFloatLanes)
    for (int64_t part = 0; part < 2; part++) sums[part] += function(load_floats(from + at + part * kFloatLanes));
  for (; at < count; at += kFloatLanes) {
    const int64_t rest = std::min(kFloatLanes, count - at);
    float numbers[kFloatLanes];
    std::fill(std::copy(from + at, from + at + rest, numbers), numbers + kFloatLanes, filler);
    sums[0] += function(load_floats(numbers));
  }
  return sum_of(sums[0] + sums[1]);
}

// y = (x − mean) / √(variance + epsilon) · scale + bias.
void normalize_channel(const float* from, int64_t count, float scale, float bias, float epsilon, float* to) {
  const float number = static_cast<float>(count);
  const float mean = sum_by(from, count, 0, [](FloatVector x) { return x; }) / number;
  const float squares = sum_by(from, count, mean, [=](FloatVector x) { return (x - mean) * (x - mean); });
  const float factor = scale / std::sqrt(squares / number + epsilon);
  map_vectors(from, count, to, [=](FloatVector x) { return (x - mean) * factor + bias; });
}

// https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html
class InstanceNormalization : public Operator {
 public:
  Problem start(const Node& node) {
    epsilon_ = node.number("epsilon", 1e-5f);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[3];
    if (const Problem problem = take_inputs(run, Element::kFloat, inputs)) return problem;
    const Shape& shape = inputs[0]->shape;
    if (shape.rank < 2) return "its input has fewer than two dimensions";
    const int64_t channels = shape.dims[1], count = shape.count(2, shape.rank);
    for (size_t index = 1; index < 3; index++)
      if (inputs[index]->shape.rank != 1 || inputs[index]->shape.dims[0] != channels) return kWrongShape;
    Tensor* out;
    if (const Problem problem = run.make_output(0, Element::kFloat, shape, out)) return problem;
    if (shape.count() == 0) return nullptr;
    const float *from = inputs[0]->data<float>(), *scale = inputs[1]->data<float>(), *bias = inputs[2]->data<float>();
    float* to = out->data<float>();
    const double cost = 2 * kSimpleCost * static_cast<double>(count);
    for_each_range(run, shape.dims[0] * channels, cost, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++)
        normalize_channel(from + row * count, count, scale[row % channels], bias[row % channels], epsilon_,
                          to + row * count);
    });
    return nullptr;
  }

 private:
  float epsilon_ = 1e-5f;
};

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

void softmax_row(const float* from, int64_t count, float* to) {
  const int64_t whole = whole_vectors(count);
  FloatVector largest_parts = all_floats(kMinusInfinity);
  for (int64_t at = 0; at < whole; at += kFloatLanes) largest_parts = larger(load_floats(from + at), largest_parts);
  float largest = largest_of(largest_parts);
  for (int64_t at = whole; at < count; at++) largest = from[at] > largest ? from[at] : largest;
  FloatVector sums{}, next_sums{};  // two, because additions that follow each other wait for each other
  int64_t first = 0;
  const auto take = [&](FloatVector& sum) {
    const FloatVector power = exponential(load_floats(from + first) - largest);
    sum += power;
    store_floats(to + first, power);
    first += kFloatLanes;
  };
  while (first + kFloatLanes < whole) take(sums), take(next_sums);
  if (first < whole) take(sums);
  float sum = sum_of(sums + next_sums);
  if (whole < count) {
    store_some(to + whole, count - whole, exponential(load_some(from + whole, count - whole) - largest));
    for (int64_t at = whole; at < count; at++) sum += to[at];
  }
  const float inverse = 1 / sum;
  for (int64_t at = 0; at < count; at++) to[at] *= inverse;
}

// Softmax over each of `lanes` neighbouring columns, at most a vector of them; `stride` elements lie between their
// rows.
void softmax_columns(const float* from, int64_t count, int64_t stride, int64_t lanes, float* to) {
  FloatVector largest = all_floats(kMinusInfinity), sums{};
  for (int64_t at = 0; at < count; at++) largest = larger(load_some(from + at * stride, lanes), largest);
  for (int64_t at = 0; at < count; at++) {
    const FloatVector power = exponential(load_some(from + at * stride, lanes) - largest);
    sums += power;
    store_some(to + at * stride, lanes, power);
  }
  const FloatVector inverse = 1 / sums;
  for (int64_t at = 0; at < count; at++) {
    float* numbers = to + at * stride;
    store_some(numbers, lanes, load_some(numbers, lanes) * inverse);
  }
}

// https://onnx.ai/onnx/operators/onnx__Softmax.html
class Softmax : public Operator {
 public:
  // Before version 13, the dimensions from the axis on are one.
  Problem start(const Node& node) {
    is_flat_ = node.opset < 13;
    axis_ = node.integer("axis", is_flat_ ? 1 : -1);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[1];
    if (const Problem problem = take_inputs(run, Element::kFloat, inputs)) return problem;
    const Shape& shape = inputs[0]->shape;
    size_t axis;
    if (const Problem problem = resolve_axis(axis_, shape.rank, axis)) return problem;
    AroundAxis around = around_axis(shape, axis);
    if (is_flat_) around = {around.outer, around.size * around.inner, 1};
    Tensor* out;
    if (const Problem problem = run.make_output(0, Element::kFloat, shape, out)) return problem;
    if (shape.count() == 0) return nullptr;
    const float* from = inputs[0]->data<float>();
    float* to = out->data<float>();
    const int64_t size = around.size, inner = around.inner;
    if (inner == 1) {
      for_each_range(run, around.outer, kPowerCost * static_cast<double>(size), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) softmax_row(from + row * size, size, to + row * size);
      });
      return nullptr;
    }
    const double cost = kPowerCost * static_cast<double>(size * inner);
    for_each_range(run, around.outer, cost, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; block++)
        for (int64_t column = 0; column < inner; column += kFloatLanes) {
          const int64_t at = block * size * inner + column;
          softmax_columns(from + at, size, inner, std::min(kFloatLanes, inner - column), to + at);
        }
    });
    return nullptr;
  }

 private:
  bool is_flat_ = false;
  int64_t axis_ = -1;
};

constexpr OperatorEntry kEntries[] = {
    {"", "InstanceNormalization", make_operator<InstanceNormalization>},
    {"", "LayerNormalization", make_operator<LayerNormalization>},
    {"", "Softmax", make_operator<Softmax>},
};

}  // namespace

OperatorTable normalization_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
