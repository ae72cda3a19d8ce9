// ReduceSum, ReduceMax and their like.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "../../float_vector.h"
#include "binary.h"
#include "checks.h"
#include "element_types.h"
#include "ranges.h"

namespace dino8::engine {
namespace {

// How numbers are joined: from which number on, how two numbers become one, and what becomes of the result for `count` numbers.
struct Sum {
  template <class Number>
  static constexpr Number start() { return 0; }
  template <class Number>
  Number operator()(Number a, Number b) const { return Plus{}(a, b); }
  FloatVector operator()(FloatVector a, FloatVector b) const { return a + b; }
  static constexpr bool kIsMean = false;
};

struct Mean : Sum {
  static constexpr bool kIsMean = true;
};

struct Product {
  template <class Number>
  static constexpr Number start() { return 1; }
  template <class Number>
  Number operator()(Number a, Number b) const { return Times{}(a, b); }
  FloatVector operator()(FloatVector a, FloatVector b) const { return a * b; }
  static constexpr bool kIsMean = false;
};

// NaN if a number is NaN.
struct Largest {
  template <class Number>
  static constexpr Number start() {
    using Limits = std::numeric_limits<Number>;
    return Limits::has_infinity ? static_cast<Number>(-Limits::infinity()) : Limits::lowest();
  }
  template <class Number>
  Number operator()(Number a, Number b) const { return Larger{}(a, b); }
  FloatVector operator()(FloatVector a, FloatVector b) const { return ((a > b) | (a != a)) ? a : b; }
  static constexpr bool kIsMean = false;
};

struct Smallest {
  template <class Number>
  static constexpr Number start() {
    using Limits = std::numeric_limits<Number>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  template <class Number>
  Number operator()(Number a, Number b) const { return Smaller{}(a, b); }
  FloatVector operator()(FloatVector a, FloatVector b) const { return ((a < b) | (a != a)) ? a : b; }
  static constexpr bool kIsMean = false;
};

// The numbers of a row become one.
template <class Join, class Number>
Number reduce_row(const Number* from, int64_t count, Join join) {
  Number result = Join::template start<Number>();
  int64_t at = 0;
  if constexpr (std::is_same<Number, float>::value) {
    constexpr int64_t kParts = 4;
    if (count >= kParts * kFloatLanes) {
      FloatVector parts[kParts];
      for (FloatVector& part : parts) part = all_floats(result);
      for (; at + kParts * kFloatLanes <= count; at += kParts * kFloatLanes)
        for (int64_t part = 0; part < kParts; part++) parts[part] = join(parts[part], load_floats(from + at + part * kFloatLanes));
      float numbers[kFloatLanes];
      store_floats(numbers, join(join(parts[0], parts[1]), join(parts[2], parts[3])));
      for (const float number : numbers) result = join(result, number);
    }
  }
  for (; at < count; at++) result = join(result, from[at]);
  return result;
}

// The rows of [count, columns], of which those from `begin` to before `end` are taken, become one.
template <class Join, class Number>
void reduce_columns(const Number* from, int64_t count, int64_t columns, int64_t begin, int64_t end, Join join,
                    Number* __restrict to) {
  std::fill(to + begin, to + end, Join::template start<Number>());
  for (int64_t row = 0; row < count; row++) {
    const Number* numbers = from + row * columns;
    for (int64_t at = begin; at < end; at++) to[at] = join(to[at], numbers[at]);
  }
}

// [outer, size, inner] becomes [outer, inner].
template <class Join, class Number>
void reduce_axis(Run& run, const Number* from, AroundAxis around, Number* to) {
  const Join join;
  const int64_t size = around.size, inner = around.inner;
  if (inner == 1) {
    for_each_range(run, around.outer, static_cast<double>(size), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) to[row] = reduce_row(from + row * size, size, join);
    });
    return;
  }
  for_each_range(run, around.outer * inner, static_cast<double>(size), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t block = at / inner, column = at % inner, last = std::min(inner, column + end - at);
      reduce_columns(from + block * size * inner, size, inner, column, last, join, to + block * inner);
      at += last - column;
    }
  });
}

// The axes are an input from the version `kInputSince` on, otherwise an attribute.
template <class Join, int64_t kInputSince, class... Elements>
class Reduce : public Operator {
 public:
  Problem start(const Node& node) {
    has_input_ = node.opset >= kInputSince;
    keeps_ = node.integer("keepdims", 1) != 0;
    is_nothing_without_axes_ = has_input_ && node.integer("noop_with_empty_axes", 0) != 0;
    const Attribute* axes = has_input_ ? nullptr : node.find("axes");
    if (axes) axes_ = axes->integers;
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[2];
    if (const Problem problem = take_inputs(run, 1, inputs)) return problem;
    if (inputs[1] && !has_input_) return "it has too many inputs";
    const Tensor& input = *inputs[0];
    IntegerList axes(axes_);
    if (inputs[1])
      if (const Problem problem = axes.read(*inputs[1])) return problem;
    bool is_reduced[kMaxRank] = {};
    for (size_t index = 0; index < axes.count(); index++) {
      size_t axis;
      if (const Problem problem = resolve_axis(axes[index], input.shape.rank, axis)) return problem;
      is_reduced[axis] = true;
    }
    if (axes.count() == 0) {
      if (is_nothing_without_axes_) return run.set_output(0, input), nullptr;
      std::fill(is_reduced, is_reduced + input.shape.rank, true);
    }
    return for_element<Elements...>(input.element, [&](auto number) {
      using Number = std::conditional_t<std::is_same<decltype(number), Truth>::value, uint8_t, decltype(number)>;
      return reduce<Number>(run, input, is_reduced);
    });
  }

 private:
  template <class Number>
  Problem reduce(Run& run, const Tensor& input, const bool (&is_reduced)[kMaxRank]) const {
    Shape shape;
    int64_t joined = 1;
    for (size_t axis = 0; axis < input.shape.rank; axis++) {
      if (is_reduced[axis]) joined *= input.shape.dims[axis];
      if (keeps_ || !is_reduced[axis]) shape.dims[shape.rank++] = is_reduced[axis] ? 1 : input.shape.dims[axis];
    }
    Tensor* out;
    if (const Problem problem = make_checked_output(run, 0, input.element, shape, out)) return problem;
    const int64_t count = shape.count();
    Number* to = out->data<Number>();
    if (count == 0) return nullptr;
    if (input.shape.count() == 0) {
      std::fill(to, to + count, Join::template start<Number>());
      return nullptr;
    }

    // Neighbouring axes that are reduced are one, and those groups are reduced one after the other, the last one first.
    std::shared_ptr<char> memory = input.memory, next;
    Shape left = input.shape;
    for (size_t end = left.rank; end > 0;) {
      if (!is_reduced[end - 1]) {
        end--;
        continue;
      }
      size_t begin = end;
      while (begin > 0 && is_reduced[begin - 1]) begin--;
      const AroundAxis around{left.count(0, begin), left.count(begin, end), left.count(end, left.rank)};
      std::fill(left.dims + begin, left.dims + end, 1);
      const bool is_last = std::none_of(is_reduced, is_reduced + begin, [](bool reduced) { return reduced; });
      if (!is_last) next = allocate(left.count() * static_cast<int64_t>(sizeof(Number)));
      if (!is_last && !next) return kNoMemory;
      reduce_axis<Join>(run, reinterpret_cast<const Number*>(memory.get()), around,
                        is_last ? to : reinterpret_cast<Number*>(next.get()));
      memory = next;
      end = begin;
    }
    if (left.rank == 0) *to = *input.data<Number>();
    if (Join::kIsMean)
      for (int64_t at = 0; at < count; at++) to[at] = static_cast<Number>(to[at] / static_cast<Number>(joined));
    return nullptr;
  }

  bool has_input_ = false, keeps_ = true, is_nothing_without_axes_ = false;
  std::vector<int64_t> axes_;
};

}  // namespace
}  // namespace dino8::engine
