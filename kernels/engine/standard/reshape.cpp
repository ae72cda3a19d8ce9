#include "reshape.h"

#include "checks.h"

namespace dino8::engine {
namespace {

// https://onnx.ai/onnx/operators/onnx__Reshape.html
class Reshape : public Operator {
 public:
  Problem start(const Node& node) {
    zero_is_size_ = node.integer("allowzero", 0) != 0;
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *data = run.input(0), *wanted = run.input(1);
    if (data == nullptr || wanted == nullptr) return kMissingInput;
    IntegerList sizes;
    if (const Problem problem = sizes.read(*wanted)) return problem;
    Shape shape;
    if (const Problem problem = find_shape(data->shape, sizes, shape)) return problem;
    set_reshaped_output(run, 0, *data, shape);
    return nullptr;
  }

 private:
  Problem find_shape(const Shape& from, const IntegerList& sizes, Shape& shape) const {
    constexpr Problem kOtherCount = "the shape that is asked for has another number of elements than the input";
    if (sizes.count() > kMaxRank) return kTooManyDimensions;
    shape.rank = sizes.count();
    size_t open_axis = kMaxRank;
    for (size_t axis = 0; axis < shape.rank; axis++) {
      const int64_t size = sizes[axis];
      shape.dims[axis] = size;
      if (size == -1) {
        if (open_axis != kMaxRank) return "more than one size is -1";
        open_axis = axis;
        shape.dims[axis] = 1;
      } else if (size < 0) {
        return kNegativeSize;
      } else if (size == 0 && !zero_is_size_) {
        if (axis >= from.rank) return "a size of 0 takes the size of an axis that the input does not have";
        shape.dims[axis] = from.dims[axis];
      }
    }
    // Elements of one byte, because a shape of the input's count is as large as the input.
    if (!is_possible(shape, Element::kUint8)) return kOtherCount;
    const int64_t count = shape.count();
    if (open_axis != kMaxRank) {
      if (count == 0 || from.count() % count != 0) return kOtherCount;
      shape.dims[open_axis] = from.count() / count;
    } else if (count != from.count()) {
      return kOtherCount;
    }
    return nullptr;
  }

  bool zero_is_size_ = false;
};

// The axes of Squeeze and Unsqueeze, which are an attribute before version 13.
class ListedAxes {
 public:
  void start(const Node& node) {
    if (const Attribute* axes = node.find("axes")) attribute_ = axes->integers;
  }

  // Sets is_listed[axis] for a shape of `rank` dimensions. `any` is false if no axes are given, or none are listed, which ONNX Runtime
  // takes for the same.
  Problem find(const Run& run, size_t rank, bool (&is_listed)[kMaxRank], bool& any) const {
    IntegerList axes;
    if (const Problem problem = read(run, axes, any)) return problem;
    for (size_t at = 0; at < axes.count(); at++) {
      size_t axis;
      if (const Problem problem = resolve_axis(axes[at], rank, axis)) return problem;
      if (is_listed[axis]) return kRepeatedAxis;
      is_listed[axis] = true;
    }
    return nullptr;
  }

  Problem read(const Run& run, IntegerList& axes, bool& any) const {
    const Tensor* input = run.input(1);
    axes = IntegerList(attribute_);
    if (input != nullptr)
      if (const Problem problem = axes.read(*input)) return problem;
    any = axes.count() > 0;
    return nullptr;
  }

 private:
  std::vector<int64_t> attribute_;
};

// https://onnx.ai/onnx/operators/onnx__Squeeze.html
class Squeeze : public Operator {
 public:
  Problem start(const Node& node) {
    axes_.start(node);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr) return kMissingInput;
    bool is_listed[kMaxRank] = {}, any = false;
    if (const Problem problem = axes_.find(run, data->shape.rank, is_listed, any)) return problem;
    Shape shape;
    for (size_t axis = 0; axis < data->shape.rank; axis++) {
      const int64_t size = data->shape.dims[axis];
      if (is_listed[axis] && size != 1) return "an axis to be removed has another size than 1";
      if (!is_listed[axis] && (any || size != 1)) shape.dims[shape.rank++] = size;
    }
    set_reshaped_output(run, 0, *data, shape);
    return nullptr;
  }

 private:
  ListedAxes axes_;
};

// https://onnx.ai/onnx/operators/onnx__Unsqueeze.html
class Unsqueeze : public Operator {
 public:
  Problem start(const Node& node) {
    axes_.start(node);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr) return kMissingInput;
    bool is_listed[kMaxRank] = {}, any = false;
    IntegerList axes;
    if (const Problem problem = axes_.read(run, axes, any)) return problem;
    Shape shape;
    if (axes.count() > kMaxRank - data->shape.rank) return kTooManyDimensions;
    shape.rank = data->shape.rank + axes.count();
    if (const Problem problem = axes_.find(run, shape.rank, is_listed, any)) return problem;
    size_t from = 0;
    for (size_t axis = 0; axis < shape.rank; axis++)
      shape.dims[axis] = is_listed[axis] ? 1 : data->shape.dims[from++];
    set_reshaped_output(run, 0, *data, shape);
    return nullptr;
  }

 private:
  ListedAxes axes_;
};

// https://onnx.ai/onnx/operators/onnx__Flatten.html
class Flatten : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 1);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr) return kMissingInput;
    const size_t rank = data->shape.rank;
    size_t axis = rank;  // the axis behind the last one is allowed, too
    if (axis_ != static_cast<int64_t>(rank))
      if (const Problem problem = resolve_axis(axis_, rank, axis)) return problem;
    Shape shape;
    shape.rank = 2;
    shape.dims[0] = data->shape.count(0, axis);
    shape.dims[1] = data->shape.count(axis, rank);
    set_reshaped_output(run, 0, *data, shape);
    return nullptr;
  }

 private:
  int64_t axis_ = 1;
};

// https://onnx.ai/onnx/operators/onnx__Identity.html
Problem identity(Run& run) {
  const Tensor* data = run.input(0);
  if (data == nullptr) return kMissingInput;
  run.set_output(0, *data);
  return nullptr;
}

}  // namespace

Problem make_reshape(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Reshape>(node, out); }
Problem make_squeeze(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Squeeze>(node, out); }
Problem make_unsqueeze(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Unsqueeze>(node, out); }
Problem make_flatten(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Flatten>(node, out); }
Problem make_identity(const Node& node, std::unique_ptr<Operator>& out) {
  return make_stateless<identity>(node, out);
}

}  // namespace dino8::engine
