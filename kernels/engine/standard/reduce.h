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

// How numbers are joined: from which number on, and how two become one.
struct Sum {
  template <class Number>
  static constexpr Number start() { return 0; }
  template <class Number>
  Number operator()(Number a, Number b) const { return Plus{}(a, b); }
  FloatVector operator()(FloatVector a, FloatVector b) const { return a + b; }
};

// The sum, divided by the number of numbers.
struct Mean : Sum {};

struct Product {
  template <class Number>
  static constexpr Number start() { return 1; }
  template <class Number>
  Number operator()(Number a, Number b) const { return Times{}(a, b); }
  FloatVector operator()(FloatVector a, FloatVector b) const { return a * b; }
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
};

// What a reduction does with numbers of one type.
struct Reduction {
  // [rows, size] becomes [rows].
  void (*reduce_rows)(const char* from, int64_t rows, int64_t size, char* to);
  // The columns from `begin` to before `end` of [size, columns] become those of [columns].
  void (*reduce_columns)(const char* from, int64_t size, int64_t columns, int64_t begin, int64_t end, char* to);
  // The results of no numbers.
  void (*fill)(int64_t count, char* to);
  // Divides sums by the number of numbers; null if there is nothing to divide.
  void (*divide)(int64_t count, int64_t numbers, char* to);
};

template <class Join, class Number>
struct ReductionOf {
  static constexpr Join kJoin{};

  static Number reduce_row(const Number* from, int64_t size) {
    Number result = Join::template start<Number>();
    int64_t at = 0;
    if constexpr (std::is_same<Number, float>::value) {
      constexpr int64_t kParts = 4;
      if (size >= kParts * kFloatLanes) {
        FloatVector parts[kParts];
        for (FloatVector& part : parts) part = all_floats(result);
        for (; at + kParts * kFloatLanes <= size; at += kParts * kFloatLanes)
          for (int64_t part = 0; part < kParts; part++)
            parts[part] = kJoin(parts[part], load_floats(from + at + part * kFloatLanes));
        float numbers[kFloatLanes];
        store_floats(numbers, kJoin(kJoin(parts[0], parts[1]), kJoin(parts[2], parts[3])));
        for (const float number : numbers) result = kJoin(result, number);
      }
    }
    DINO8_SHORT_LOOP
    for (; at < size; at++) result = kJoin(result, from[at]);
    return result;
  }

  static void reduce_rows(const char* memory, int64_t rows, int64_t size, char* to) {
    const Number* from = reinterpret_cast<const Number*>(memory);
    for (int64_t row = 0; row < rows; row++) reinterpret_cast<Number*>(to)[row] = reduce_row(from + row * size, size);
  }

  static void reduce_columns(const char* memory, int64_t size, int64_t columns, int64_t begin, int64_t end, char* out) {
    const Number* from = reinterpret_cast<const Number*>(memory);
    Number* __restrict to = reinterpret_cast<Number*>(out);
    std::fill(to + begin, to + end, Join::template start<Number>());
    for (int64_t row = 0; row < size; row++, from += columns) {
      if constexpr (std::is_same<Number, float>::value) {
        for (int64_t at = begin; at < end; at++) to[at] = kJoin(to[at], from[at]);
      } else {
        DINO8_SHORT_LOOP
        for (int64_t at = begin; at < end; at++) to[at] = kJoin(to[at], from[at]);
      }
    }
  }

  static void fill(int64_t count, char* memory) {
    Number* to = reinterpret_cast<Number*>(memory);
    std::fill(to, to + count, Join::template start<Number>());
  }

  static void divide(int64_t count, int64_t numbers, char* memory) {
    Number* to = reinterpret_cast<Number*>(memory);
    DINO8_SHORT_LOOP
    for (int64_t at = 0; at < count; at++) to[at] = static_cast<Number>(to[at] / static_cast<Number>(numbers));
  }

  static constexpr Reduction kReduction{reduce_rows, reduce_columns, fill,
                                        std::is_same<Join, Mean>::value ? divide : nullptr};
};

// [outer, size, inner] becomes [outer, inner].
inline void reduce_axis(Run& run, const Reduction& reduction, int64_t bytes, const char* from, AroundAxis around,
                        char* to) {
  const int64_t size = around.size, inner = around.inner;
  const double cost = kSimpleCost * static_cast<double>(size);
  if (inner == 1) {
    for_each_range(run, around.outer, cost, [&](int64_t begin, int64_t end) {
      reduction.reduce_rows(from + begin * size * bytes, end - begin, size, to + begin * bytes);
    });
    return;
  }
  for_each_range(run, around.outer * inner, cost, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t block = at / inner, column = at % inner, last = std::min(inner, column + end - at);
      const char* rows = from + block * size * inner * bytes;
      reduction.reduce_columns(rows, size, inner, column, last, to + block * inner * bytes);
      at += last - column;
    }
  });
}

// Neighbouring axes that are reduced are one, and those groups are reduced one after the other, the last one first. No
// dimension is 0.
inline Problem reduce_axes(Run& run, const Reduction& reduction, const Tensor& input, const bool* is_reduced,
                           char* to) {
  const int64_t bytes = static_cast<int64_t>(bytes_of(input.element));
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
    if (!is_last) next = allocate(left.count() * bytes);
    if (!is_last && !next) return kNoMemory;
    reduce_axis(run, reduction, bytes, memory.get(), around, is_last ? to : next.get());
    memory = next;
    end = begin;
  }
  return nullptr;
}

// Computes the output of a run. At least one axis is reduced.
inline Problem reduce(Run& run, const Reduction& reduction, const Tensor& input, const bool* is_reduced, bool keeps) {
  Shape shape;
  int64_t numbers = 1;
  for (size_t axis = 0; axis < input.shape.rank; axis++) {
    if (is_reduced[axis]) numbers *= input.shape.dims[axis];
    if (keeps || !is_reduced[axis]) shape.dims[shape.rank++] = is_reduced[axis] ? 1 : input.shape.dims[axis];
  }
  Tensor* out;
  if (const Problem problem = make_checked_output(run, 0, input.element, shape, out)) return problem;
  const int64_t count = shape.count();
  if (count == 0) return nullptr;
  if (numbers == 0) return reduction.fill(count, out->data<char>()), nullptr;
  if (const Problem problem = reduce_axes(run, reduction, input, is_reduced, out->data<char>())) return problem;
  if (reduction.divide) reduction.divide(count, numbers, out->data<char>());
  return nullptr;
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
    const size_t rank = input.shape.rank;
    IntegerList axes(axes_);
    if (inputs[1])
      if (const Problem problem = axes.read(*inputs[1])) return problem;
    bool is_reduced[kMaxRank] = {};
    for (size_t index = 0; index < axes.count(); index++) {
      size_t axis;
      if (const Problem problem = resolve_axis(axes[index], rank, axis)) return problem;
      is_reduced[axis] = true;
    }
    if (axes.count() == 0) std::fill(is_reduced, is_reduced + rank, true);
    return for_element<Elements...>(input.element, [&](auto number) -> Problem {
      if (rank == 0 || (axes.count() == 0 && is_nothing_without_axes_)) return run.set_output(0, input), nullptr;
      using Number = std::conditional_t<std::is_same<decltype(number), Truth>::value, uint8_t, decltype(number)>;
      return reduce(run, ReductionOf<Join, Number>::kReduction, input, is_reduced, keeps_);
    });
  }

 private:
  bool has_input_ = false, keeps_ = true, is_nothing_without_axes_ = false;
  std::vector<int64_t> axes_;
};

}  // namespace
}  // namespace dino8::engine
