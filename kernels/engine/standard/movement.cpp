// Operators that move elements and do not compute.
#include <algorithm>

#include "../operators.h"
#include "checks.h"
#include "gather.h"
#include "reshape.h"
#include "slice.h"
#include "strided_copy.h"

namespace dino8::engine {
namespace {

// https://onnx.ai/onnx/operators/onnx__Transpose.html
class Transpose : public Operator {
 public:
  Problem start(const Node& node) {
    const Attribute* order = node.find("perm");
    has_order_ = order != nullptr;
    if (!has_order_) return nullptr;
    order_ = order->integers;
    const int64_t rank = static_cast<int64_t>(order_.size());
    if (order_.size() > kMaxRank) return kTooManyDimensions;
    bool is_listed[kMaxRank] = {};
    for (const int64_t axis : order_) {
      if (axis < 0 || axis >= rank) return kWrongAxis;
      if (is_listed[axis]) return kRepeatedAxis;
      is_listed[axis] = true;
    }
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr) return kMissingInput;
    const Shape& from = data->shape;
    if (has_order_ && order_.size() != from.rank) return "its order has not each axis of its input";
    const Strides from_strides(from);
    Shape shape = from;
    int64_t strides[kMaxRank];
    // The memory stays the same if the axes of more than one element keep their order.
    bool is_same = true;
    size_t before = 0;
    for (size_t axis = 0; axis < from.rank; axis++) {
      const size_t source = has_order_ ? static_cast<size_t>(order_[axis]) : from.rank - 1 - axis;
      shape.dims[axis] = from.dims[source];
      strides[axis] = from_strides.of[source];
      if (from.dims[source] == 1) continue;
      is_same = is_same && source >= before;
      before = source;
    }
    if (is_same) {
      set_reshaped_output(run, 0, *data, shape);
      return nullptr;
    }
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, data->element, shape, to)) return problem;
    const Strides to_strides(shape);
    StridedCopy copy;
    for (size_t axis = 0; axis < shape.rank; axis++) copy.add_axis(shape.dims[axis], strides[axis], to_strides.of[axis]);
    copy_strided(run, copy, data->memory.get(), to->memory.get(), bytes_of(data->element));
    return nullptr;
  }

 private:
  std::vector<int64_t> order_;
  bool has_order_ = false;
};

// A part of a tensor along one of its axes: [outer, size, inner] of [outer, all, inner], from `begin` of `all`.
StridedCopy part_of_axis(const Shape& shape, size_t axis, int64_t part, bool is_read) {
  const AroundAxis around = around_axis(shape, axis);
  const int64_t whole = around.size * around.inner, row = part * around.inner;
  StridedCopy copy;
  copy.add_axis(around.outer, is_read ? whole : row, is_read ? row : whole);
  copy.add_axis(row, 1, 1);
  return copy;
}

// https://onnx.ai/onnx/operators/onnx__Concat.html
class Concat : public Operator {
 public:
  Problem start(const Node& node) {
    if (node.find("axis") == nullptr && node.opset >= 4) return "it has no axis";
    axis_ = node.integer("axis", 1);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* first = run.input(0);
    if (first == nullptr) return kMissingInput;
    size_t axis;
    if (const Problem problem = resolve_axis(axis_, first->shape.rank, axis)) return problem;
    Shape shape = first->shape;
    shape.dims[axis] = 0;
    for (size_t index = 0; index < run.inputs(); index++) {
      const Tensor* input = run.input(index);
      if (input == nullptr) return kMissingInput;
      if (input->element != first->element) return kWrongType;
      Shape as_first = input->shape;
      if (as_first.rank != shape.rank) return kWrongShape;
      as_first.dims[axis] = first->shape.dims[axis];
      if (as_first != first->shape) return kWrongShape;
      shape.dims[axis] += input->shape.dims[axis];
      if (shape.dims[axis] > kMaxBytes) return kTooLarge;
    }
    if (run.inputs() == 1) {
      run.set_output(0, *first);
      return nullptr;
    }
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, first->element, shape, to)) return problem;
    if (shape.count() == 0) return nullptr;
    const int64_t bytes = static_cast<int64_t>(bytes_of(first->element));
    const int64_t inner = shape.count(axis + 1, shape.rank) * bytes;
    char* target = to->memory.get();
    for (size_t index = 0; index < run.inputs(); index++) {
      const Tensor& input = *run.input(index);
      const int64_t size = input.shape.dims[axis];
      copy_strided(run, part_of_axis(shape, axis, size, false), input.memory.get(), target, bytes_of(first->element));
      target += size * inner;
    }
    return nullptr;
  }

 private:
  int64_t axis_ = 0;
};

// https://onnx.ai/onnx/operators/onnx__Split.html with sizes as an input, before version 13 as an attribute, or parts of equal
// sizes. From version 18, the last one of these may be smaller.
class Split : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 0);
    outputs_ = node.outputs;
    may_be_smaller_ = node.opset >= 18;
    if (const Attribute* sizes = node.find("split")) sizes_ = sizes->integers, has_sizes_ = true;
    const int64_t outputs = static_cast<int64_t>(outputs_);
    if (node.integer("num_outputs", outputs) != outputs) return "num_outputs is not the number of its outputs";
    return outputs_ == 0 ? "it has no outputs" : nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr) return kMissingInput;
    size_t axis;
    if (const Problem problem = resolve_axis(axis_, data->shape.rank, axis)) return problem;
    IntegerList sizes(sizes_);
    const bool has_sizes = has_sizes_ || run.input(1) != nullptr;
    if (run.input(1) != nullptr)
      if (const Problem problem = sizes.read(*run.input(1))) return problem;
    const int64_t whole = data->shape.dims[axis], parts = static_cast<int64_t>(outputs_);
    const int64_t equal = (whole + parts - 1) / parts;
    if (has_sizes) {
      if (const Problem problem = check(sizes, whole)) return problem;
    } else if (equal * parts != whole && (!may_be_smaller_ || equal * (parts - 1) > whole)) {
      return "the axis cannot be split into so many equal parts";
    }
    const size_t bytes = bytes_of(data->element);
    const int64_t inner = data->shape.count(axis + 1, data->shape.rank) * static_cast<int64_t>(bytes);
    int64_t begin = 0;
    for (size_t index = 0; index < outputs_; index++) {
      Shape shape = data->shape;
      int64_t& size = shape.dims[axis];
      size = has_sizes ? sizes[index] : std::min(equal, whole - begin);
      if (size == whole) {
        run.set_output(index, *data);
      } else {
        Tensor* to;
        if (const Problem problem = make_checked_output(run, index, data->element, shape, to)) return problem;
        copy_strided(run, part_of_axis(data->shape, axis, size, true), data->memory.get() + begin * inner,
                     to->memory.get(), bytes);
      }
      begin += size;
    }
    return nullptr;
  }

 private:
  Problem check(const IntegerList& sizes, int64_t whole) const {
    constexpr Problem kWrongSizes = "the sizes of the parts are not those of its outputs and its input";
    if (sizes.count() != outputs_) return kWrongSizes;
    int64_t sum = 0;
    for (size_t at = 0; at < sizes.count(); at++) {
      if (sizes[at] < 0 || sizes[at] > whole - sum) return kWrongSizes;
      sum += sizes[at];
    }
    return sum == whole ? nullptr : kWrongSizes;
  }

  int64_t axis_ = 0;
  size_t outputs_ = 0;
  std::vector<int64_t> sizes_;
  bool has_sizes_ = false, may_be_smaller_ = false;
};

// https://onnx.ai/onnx/operators/onnx__Tile.html
Problem tile(Run& run) {
  const Tensor *data = run.input(0), *repeats = run.input(1);
  if (data == nullptr || repeats == nullptr) return kMissingInput;
  IntegerList times;
  if (const Problem problem = times.read(*repeats)) return problem;
  const Shape& from = data->shape;
  if (repeats->shape.rank != 1 || times.count() != from.rank) return "it has not one number of repeats for each axis";
  Shape shape = from;
  bool is_same = true;
  for (size_t axis = 0; axis < from.rank; axis++) {
    if (times[axis] < 0) return kNegativeSize;
    if (times[axis] > kMaxBytes) return kTooLarge;
    shape.dims[axis] *= times[axis];  // both are at most 2^31
    is_same = is_same && times[axis] == 1;
  }
  if (is_same) {
    run.set_output(0, *data);
    return nullptr;
  }
  Tensor* to;
  if (const Problem problem = make_checked_output(run, 0, data->element, shape, to)) return problem;
  const Strides from_strides(from), to_strides(shape);
  StridedCopy copy;
  for (size_t axis = 0; axis < from.rank; axis++) {
    copy.add_axis(times[axis], 0, from.dims[axis] * to_strides.of[axis]);
    copy.add_axis(from.dims[axis], from_strides.of[axis], to_strides.of[axis]);
  }
  copy_strided(run, copy, data->memory.get(), to->memory.get(), bytes_of(data->element));
  return nullptr;
}

constexpr OperatorEntry kEntries[] = {
    {"", "Reshape", make_reshape},
    {"", "Squeeze", make_squeeze},
    {"", "Unsqueeze", make_unsqueeze},
    {"", "Flatten", make_flatten},
    {"", "Identity", make_identity},
    {"", "Transpose", make_operator<Transpose>},
    {"", "Concat", make_operator<Concat>},
    {"", "Slice", make_slice},
    {"", "Pad", make_pad},
    {"", "Split", make_operator<Split>},
    {"", "Tile", make_stateless<tile>},
    {"", "Gather", make_gather},
    {"", "GatherND", make_gather_nd},
    {"", "GatherElements", make_gather_elements},
};

}  // namespace

OperatorTable movement_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
