// The operators that find the largest numbers along an axis.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <type_traits>

#include "checks.h"
#include "element_types.h"
#include "ranges.h"
#include "scratch.h"

namespace dino8::engine {
namespace {

// True if a is larger than b. NaN is larger than all numbers.
template <class Number>
bool is_larger(Number a, Number b) {
  return a > b || (a != a && b == b);
}

// https://onnx.ai/onnx/operators/onnx__ArgMax.html
class ArgMax : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 0);
    keeps_ = node.integer("keepdims", 1) != 0;
    takes_last_ = node.integer("select_last_index", 0) != 0;
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[1];
    if (const Problem problem = take_inputs(run, 1, inputs)) return problem;
    const Tensor& input = *inputs[0];
    size_t axis;
    if (const Problem problem = resolve_axis(axis_, input.shape.rank, axis)) return problem;
    const AroundAxis around = around_axis(input.shape, axis);
    Shape shape;
    for (size_t at = 0; at < input.shape.rank; at++)
      if (keeps_ || at != axis) shape.dims[shape.rank++] = at == axis ? 1 : input.shape.dims[at];
    if (around.size == 0 && shape.count() > 0) return "it looks for the largest of no numbers";
    return for_element<float, int64_t, int32_t, uint8_t, int8_t>(input.element, [&](auto number) -> Problem {
      using Number = decltype(number);
      Tensor* out;
      if (const Problem problem = make_checked_output(run, 0, Element::kInt64, shape, out)) return problem;
      const Number* from = input.data<Number>();
      int64_t* to = out->data<int64_t>();
      const double cost = 2 * kSimpleCost * static_cast<double>(around.size);
      for_each_range(run, shape.count(), cost, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; at++)
          to[at] = find(from + at / around.inner * around.size * around.inner + at % around.inner, around);
      });
      return nullptr;
    });
  }

 private:
  template <class Number>
  int64_t find(const Number* from, AroundAxis around) const {
    int64_t best = 0;
    for (int64_t at = 1; at < around.size; at++) {
      const Number value = from[at * around.inner], largest = from[best * around.inner];
      if (takes_last_ ? !is_larger(largest, value) : is_larger(value, largest)) best = at;
    }
    return best;
  }

  int64_t axis_ = 0;
  bool keeps_ = true, takes_last_ = false;
};

// An integer that is the larger, the larger a number is.
template <class Number>
int64_t key_of(Number number) {
  if constexpr (std::is_same<Number, float>::value) {
    if (number != number) return std::numeric_limits<int64_t>::max();
    int32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits >= 0 ? bits : -static_cast<int64_t>(bits & 0x7fffffff);
  } else {
    return number;
  }
}

// The index of a number, and a key by which numbers are sorted.
struct SortedEntry {
  int64_t key, index;
  bool operator<(const SortedEntry& other) const { return key != other.key ? key < other.key : index < other.index; }
};

// Brings the first `first` of the entries in order to their front.
inline void sort_first(SortedEntry* entries, int64_t count, int64_t first) {
  if (first < count) std::nth_element(entries, entries + first, entries + count);
  std::sort(entries, entries + first);
}

// https://onnx.ai/onnx/operators/onnx__TopK.html. The results are sorted, even if they need not be.
class TopK : public Operator {
 public:
  // Before version 10, k is an attribute.
  Problem start(const Node& node) {
    axis_ = node.integer("axis", -1);
    takes_largest_ = node.integer("largest", 1) != 0;
    has_attribute_ = node.opset < 10;
    count_ = node.integer("k", -1);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* inputs[2];
    if (const Problem problem = take_inputs(run, has_attribute_ ? 1 : 2, inputs)) return problem;
    if (inputs[1] && has_attribute_) return "it has too many inputs";
    const Tensor& input = *inputs[0];
    size_t axis;
    int64_t count = count_;
    if (const Problem problem = resolve_axis(axis_, input.shape.rank, axis)) return problem;
    if (inputs[1])
      if (const Problem problem = read_integer(*inputs[1], count)) return problem;
    if (count < 0 || count > input.shape.dims[axis])
      return "it takes more elements than the axis has, or fewer than none";
    return for_element<float, int64_t, int32_t, uint8_t, int8_t>(input.element, [&](auto number) -> Problem {
      using Number = decltype(number);
      Shape shape = input.shape;
      shape.dims[axis] = count;
      Tensor *values, *indices;
      if (const Problem problem = make_checked_output(run, 0, input.element, shape, values)) return problem;
      if (const Problem problem = make_checked_output(run, 1, Element::kInt64, shape, indices)) return problem;
      if (shape.count() == 0) return nullptr;
      const AroundAxis around = around_axis(input.shape, axis);
      std::atomic<bool> has_memory{true};
      const double cost = kPowerCost * static_cast<double>(around.size);
      for_each_range(run, around.outer * around.inner, cost, [&](int64_t begin, int64_t end) {
        const Scratch<SortedEntry> entries(around.size);
        if (!entries) {
          has_memory = false;
          return;
        }
        for (int64_t at = begin; at < end; at++) {
          const int64_t block = at / around.inner, column = at % around.inner;
          const Number* from = input.data<Number>() + block * around.size * around.inner + column;
          for (int64_t index = 0; index < around.size; index++) {
            const int64_t key = key_of(from[index * around.inner]);
            entries.data()[index] = {takes_largest_ ? ~key : key, index};
          }
          sort_first(entries.data(), around.size, count);
          const int64_t to = block * count * around.inner + column;
          for (int64_t place = 0; place < count; place++) {
            const int64_t index = entries.data()[place].index;
            values->data<Number>()[to + place * around.inner] = from[index * around.inner];
            indices->data<int64_t>()[to + place * around.inner] = index;
          }
        }
      });
      return has_memory ? nullptr : kNoMemory;
    });
  }

 private:
  int64_t axis_ = -1, count_ = -1;
  bool takes_largest_ = true, has_attribute_ = false;
};

}  // namespace
}  // namespace dino8::engine
