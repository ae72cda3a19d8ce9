// The operators of the standard between floats and bytes.
#include <algorithm>
#include <limits>
#include <vector>

#include "../operators.h"
#include "axes.h"
#include "checks.h"
#include "element_types.h"
#include "quantize_exactly.h"
#include "ranges.h"
#include "scratch.h"

namespace dino8::engine {
namespace {

// The scales and zero points of QuantizeLinear and DequantizeLinear: one, or one for each index of an axis.
struct Scaling {
  AroundAxis around{};  // without channels, [1, 1, count]
  const float* scales = nullptr;
  Scratch<int32_t> zero_points{0};

  int64_t channels() const { return around.size; }

  // `zero_point` may be null.
  Problem set(const Shape& shape, int64_t axis, const Tensor& scale, const Tensor* zero_point) {
    if (scale.element != Element::kFloat) return kWrongType;
    if (scale.shape.rank > 1) return "its scale has several dimensions, which is not supported";
    if (zero_point && zero_point->shape.count() != scale.shape.count()) return kWrongShape;
    if (scale.shape.count() == 1) {
      around = {1, 1, shape.count()};
    } else {
      size_t at;
      if (const Problem problem = resolve_axis(axis, shape.rank, at)) return problem;
      around = around_axis(shape, at);
      if (around.size != scale.shape.count()) return kWrongShape;
    }
    scales = scale.data<float>();
    zero_points = Scratch<int32_t>(channels());
    if (!zero_points) return kNoMemory;
    std::fill(zero_points.data(), zero_points.data() + channels(), 0);
    if (zero_point == nullptr) return nullptr;
    return for_element<uint8_t, int8_t, int32_t>(zero_point->element, [&](auto number) -> Problem {
      const auto* data = zero_point->data<decltype(number)>();
      std::copy(data, data + channels(), zero_points.data());
      return nullptr;
    });
  }

  // Calls `block(at, count, channel)` for the numbers of each channel, or `row(at)` for rows of `channels()` numbers
  // where these have a scale each.
  template <class Block, class Row>
  void for_each(Run& run, const Block& block, const Row& row) const {
    if (around.inner == 1 && channels() > 1) {
      for_each_range(run, around.outer, kSimpleCost * static_cast<double>(channels()), [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++) row(at * channels());
      });
    } else if (channels() == 1 && around.outer == 1) {
      for_each_range(run, around.inner, kSimpleCost, [&](int64_t begin, int64_t end) { block(begin, end - begin, 0); });
    } else {
      const double cost = kSimpleCost * static_cast<double>(around.inner);
      for_each_range(run, around.outer * channels(), cost, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++) block(at * around.inner, around.inner, at % channels());
      });
    }
  }
};

// The attribute of blocks, which came with version 21.
Problem refuse_blocks(const Node& node) {
  return node.integer("block_size", 0) == 0 ? nullptr : "it quantizes in blocks (block_size), which is not supported";
}

// https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
class QuantizeLinear : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 1);
    output_ = static_cast<Element>(node.integer("output_dtype", 0));
    if (node.integer("precision", 0) > static_cast<int64_t>(Element::kFloat)) return "its precision is not supported";
    return refuse_blocks(node);
  }

  Problem run(Run& run) override {
    const Tensor* inputs[3];
    if (const Problem problem = take_inputs(run, 2, inputs)) return problem;
    if (inputs[0]->element != Element::kFloat) return kWrongType;
    Element element = inputs[2] ? inputs[2]->element : Element::kUint8;
    if (output_ != Element{0}) {
      if (inputs[2] && output_ != element) return "its zero point does not have the type of its output";
      element = output_;
    }
    return for_element<uint8_t, int8_t>(element, [&](auto byte) { return run_for<decltype(byte)>(run, inputs); });
  }

 private:
  template <class Byte>
  Problem run_for(Run& run, const Tensor* const (&inputs)[3]) const {
    const Tensor& input = *inputs[0];
    Scaling scaling;
    if (const Problem problem = scaling.set(input.shape, axis_, *inputs[1], inputs[2])) return problem;
    Tensor* out;
    if (const Problem problem = run.make_output(0, kElementOf<Byte>, input.shape, out)) return problem;
    const float* from = input.data<float>();
    Byte* to = out->data<Byte>();
    if (input.shape.count() == 0) return nullptr;
    const Scratch<float> lowest(scaling.channels());
    if (!lowest) return kNoMemory;
    const int32_t* zero_points = scaling.zero_points.data();
    for (int64_t channel = 0; channel < scaling.channels(); channel++)
      lowest.data()[channel] = static_cast<float>(-kToUnsigned<Byte> - zero_points[channel]);
    scaling.for_each(
        run,
        [&](int64_t at, int64_t count, int64_t channel) {
          quantize_exactly(from + at, count, scaling.scales[channel], zero_points[channel], to + at);
        },
        [&](int64_t at) {
          quantize_exactly(from + at, scaling.channels(), scaling.scales, lowest.data(), to + at);
        });
    return nullptr;
  }

  int64_t axis_ = 1;
  Element output_{0};
};

template <class Number>
float dequantize(Number value, float scale, int32_t zero_point) {
  const uint32_t difference = static_cast<uint32_t>(static_cast<int32_t>(value)) - static_cast<uint32_t>(zero_point);
  return static_cast<float>(static_cast<int32_t>(difference)) * scale;
}

// https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
class DequantizeLinear : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 1);
    if (node.integer("output_dtype", 0) > static_cast<int64_t>(Element::kFloat))
      return "its output has a type that is not supported";
    return refuse_blocks(node);
  }

  Problem run(Run& run) override {
    const Tensor* inputs[3];
    if (const Problem problem = take_inputs(run, 2, inputs)) return problem;
    if (inputs[2] && inputs[2]->element != inputs[0]->element)
      return "its zero point does not have the type of its input";
    return for_element<uint8_t, int8_t, int32_t>(inputs[0]->element,
                                                 [&](auto number) { return run_for<decltype(number)>(run, inputs); });
  }

 private:
  template <class Number>
  Problem run_for(Run& run, const Tensor* const (&inputs)[3]) const {
    const Tensor& input = *inputs[0];
    Scaling scaling;
    if (const Problem problem = scaling.set(input.shape, axis_, *inputs[1], inputs[2])) return problem;
    Tensor* out;
    if (const Problem problem = make_checked_output(run, 0, Element::kFloat, input.shape, out)) return problem;
    if (input.shape.count() == 0) return nullptr;
    const Number* data = input.data<Number>();
    float* results = out->data<float>();
    const float* scales = scaling.scales;
    const int32_t* zero_points = scaling.zero_points.data();
    scaling.for_each(
        run,
        [&](int64_t begin, int64_t count, int64_t channel) {
          const Number* from = data + begin;
          float* __restrict to = results + begin;
          const float scale = scales[channel];
          const int32_t zero_point = zero_points[channel];
          for (int64_t at = 0; at < count; at++) to[at] = dequantize(from[at], scale, zero_point);
        },
        [&](int64_t begin) {
          const Number* from = data + begin;
          float* __restrict to = results + begin;
          for (int64_t at = 0, count = scaling.channels(); at < count; at++)
            to[at] = dequantize(from[at], scales[at], zero_points[at]);
        });
    return nullptr;
  }

  int64_t axis_ = 1;
};

struct Extremes {
  float smallest = 0, largest = 0;
};

// The smallest and the largest of some numbers and 0. NaN is left out.
Extremes find_extremes(const float* from, int64_t count) {
  FloatVector low[2] = {}, high[2] = {};
  Extremes found;
  int64_t at = 0;
  for (; at + 2 * kFloatLanes <= count; at += 2 * kFloatLanes)
    for (int64_t part = 0; part < 2; part++) {
      const FloatVector value = load_floats(from + at + part * kFloatLanes);
      low[part] = smaller(value, low[part]);
      high[part] = larger(value, high[part]);
    }
  for (; at < count; at++) {
    found.smallest = from[at] < found.smallest ? from[at] : found.smallest;
    found.largest = from[at] > found.largest ? from[at] : found.largest;
  }
  const FloatVector negated = larger(-low[0], -low[1]);
  found.smallest = std::min(found.smallest, -largest_of(negated));
  found.largest = std::max(found.largest, largest_of(larger(high[0], high[1])));
  return found;
}

// https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
Problem dynamic_quantize_linear(Run& run) {
  const Tensor* inputs[1];
  if (const Problem problem = take_inputs(run, Element::kFloat, inputs)) return problem;
  const Shape& shape = inputs[0]->shape;
  Tensor *bytes, *scale, *zero_point;
  if (const Problem problem = run.make_output(0, Element::kUint8, shape, bytes)) return problem;
  if (const Problem problem = run.make_output(1, Element::kFloat, Shape{}, scale)) return problem;
  if (const Problem problem = run.make_output(2, Element::kUint8, Shape{}, zero_point)) return problem;
  const float* from = inputs[0]->data<float>();
  const int64_t count = shape.count();

  // The extremes of pieces, which do not depend on the number of threads.
  constexpr int64_t kPiece = 16384;
  const int64_t pieces = (count + kPiece - 1) / kPiece;
  std::vector<Extremes> found(static_cast<size_t>(pieces));
  for_each_range(run, pieces, kSimpleCost * kPiece, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; piece++)
      found[static_cast<size_t>(piece)] =
          find_extremes(from + piece * kPiece, std::min(kPiece, count - piece * kPiece));
  });
  Extremes all;
  for (const Extremes& piece : found) {
    all.smallest = std::min(all.smallest, piece.smallest);
    all.largest = std::max(all.largest, piece.largest);
  }

  const float step = all.largest == all.smallest ? 1.0f : (all.largest - all.smallest) / 255;
  // If the scale is infinite, the zero point may be NaN, of which `min` makes 255.
  const float limited = std::max(0.0f, std::min(255.0f, 0.0f - all.smallest / step));
  const int32_t zero = static_cast<int32_t>((limited + kRounding) - kRounding);
  *scale->data<float>() = step;
  *zero_point->data<uint8_t>() = static_cast<uint8_t>(zero);
  uint8_t* to = bytes->data<uint8_t>();
  for_each_range(run, count, kSimpleCost, [&](int64_t begin, int64_t end) {
    quantize_exactly(from + begin, end - begin, step, zero, to + begin);
  });
  return nullptr;
}

constexpr OperatorEntry kEntries[] = {
    {"", "DequantizeLinear", make_operator<DequantizeLinear>},
    {"", "DynamicQuantizeLinear", make_stateless<dynamic_quantize_linear>},
    {"", "QuantizeLinear", make_operator<QuantizeLinear>},
};

}  // namespace

OperatorTable quantization_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
