// Operators that are about dimensions, or make tensors of given dimensions.
#include <algorithm>
#include <cmath>

#include "../operators.h"
#include "checks.h"
#include "strided_copy.h"

namespace dino8::engine {
namespace {

// https://onnx.ai/onnx/operators/onnx__Shape.html
class ShapeOf : public Operator {
 public:
  Problem start(const Node& node) {
    start_ = node.integer("start", 0);
    has_end_ = node.find("end") != nullptr;
    end_ = node.integer("end", 0);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr) return kMissingInput;
    const int64_t rank = static_cast<int64_t>(data->shape.rank);
    const int64_t begin = clamped(start_, rank), end = has_end_ ? clamped(end_, rank) : rank;
    Shape shape;
    shape.rank = 1;
    shape.dims[0] = begin < end ? end - begin : 0;
    Tensor* to;
    if (const Problem problem = run.make_output(0, Element::kInt64, shape, to)) return problem;
    for (int64_t axis = begin; axis < end; axis++) to->data<int64_t>()[axis - begin] = data->shape.dims[axis];
    return nullptr;
  }

 private:
  static int64_t clamped(int64_t axis, int64_t rank) {
    if (axis < 0) axis += rank;
    return axis < 0 ? 0 : axis > rank ? rank : axis;
  }

  int64_t start_ = 0, end_ = 0;
  bool has_end_ = false;
};

// https://onnx.ai/onnx/operators/onnx__Size.html
Problem size_of(Run& run) {
  const Tensor* data = run.input(0);
  if (data == nullptr) return kMissingInput;
  Tensor* to;
  if (const Problem problem = run.make_output(0, Element::kInt64, Shape(), to)) return problem;
  *to->data<int64_t>() = data->shape.count();
  return nullptr;
}

// The number of elements of a range; −1 if the step is 0, or if there are too many.
int64_t count_range(int64_t start, int64_t limit, int64_t step) {
  if (step == 0) return -1;
  if (step > 0 ? start >= limit : start <= limit) return 0;
  // Differences of 64 bits fit without a sign.
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(limit) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(limit);
  const uint64_t by = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = (distance - 1) / by + 1;
  return count > static_cast<uint64_t>(kMaxBytes) ? -1 : static_cast<int64_t>(count);
}

int64_t count_range(float start, float limit, float step) {
  const double count = std::ceil((static_cast<double>(limit) - start) / step);
  if (!(count <= static_cast<double>(kMaxBytes))) return -1;  // also if it is not a number
  return count > 0 ? static_cast<int64_t>(count) : 0;
}

template <class Number, class Wide>
Problem make_range(Run& run, const Tensor& start, const Tensor& limit, const Tensor& step) {
  const Number from = *start.data<Number>(), by = *step.data<Number>();
  Shape shape;
  shape.rank = 1;
  shape.dims[0] = count_range(Wide{from}, Wide{*limit.data<Number>()}, Wide{by});
  if (shape.dims[0] < 0) return "its range has a step of 0 or too many elements";
  Tensor* to;
  if (const Problem problem = make_checked_output(run, 0, start.element, shape, to)) return problem;
  Number* target = to->data<Number>();
  for (int64_t at = 0; at < shape.dims[0]; at++)
    target[at] = static_cast<Number>(static_cast<Wide>(from) + static_cast<Wide>(at) * static_cast<Wide>(by));
  return nullptr;
}

// https://onnx.ai/onnx/operators/onnx__Range.html
Problem range(Run& run) {
  const Tensor *start = run.input(0), *limit = run.input(1), *step = run.input(2);
  if (start == nullptr || limit == nullptr || step == nullptr) return kMissingInput;
  for (const Tensor* input : {start, limit, step}) {
    if (input->element != start->element) return kWrongType;
    if (input->shape.count() != 1) return "a start, limit or step is not one number";
  }
  switch (start->element) {
    case Element::kInt64: return make_range<int64_t, int64_t>(run, *start, *limit, *step);
    case Element::kInt32: return make_range<int32_t, int64_t>(run, *start, *limit, *step);
    case Element::kFloat: return make_range<float, float>(run, *start, *limit, *step);
    default: return kWrongType;
  }
}

// Takes an input that has the dimensions of a tensor.
Problem read_shape(const Tensor& tensor, Shape& shape) {
  IntegerList sizes;
  if (const Problem problem = sizes.read(tensor)) return problem;
  if (tensor.shape.rank != 1) return kNotIntegers;
  if (sizes.count() > kMaxRank) return kTooManyDimensions;
  shape.rank = sizes.count();
  for (size_t axis = 0; axis < shape.rank; axis++) {
    shape.dims[axis] = sizes[axis];
    if (sizes[axis] < 0) return kNegativeSize;
  }
  return nullptr;
}

// https://onnx.ai/onnx/operators/onnx__Expand.html
Problem expand(Run& run) {
  const Tensor *data = run.input(0), *wanted = run.input(1);
  if (data == nullptr || wanted == nullptr) return kMissingInput;
  Shape other, shape;
  if (const Problem problem = read_shape(*wanted, other)) return problem;
  const Shape& from = data->shape;
  shape.rank = std::max(from.rank, other.rank);
  int64_t from_strides[kMaxRank];
  const Strides strides(from);
  for (size_t axis = 0; axis < shape.rank; axis++) {
    // The last axes of both meet.
    const size_t missing = shape.rank - from.rank, missing_other = shape.rank - other.rank;
    const int64_t size = axis < missing ? 1 : from.dims[axis - missing];
    const int64_t other_size = axis < missing_other ? 1 : other.dims[axis - missing_other];
    if (size != other_size && size != 1 && other_size != 1) return kWrongShape;
    shape.dims[axis] = size == 1 ? other_size : size;
    from_strides[axis] = size == 1 ? 0 : strides.of[axis - missing];
  }
  if (!is_possible(shape, data->element)) return kTooLarge;
  if (shape.count() == from.count()) {
    set_reshaped_output(run, 0, *data, shape);
    return nullptr;
  }
  Tensor* to;
  if (const Problem problem = run.make_output(0, data->element, shape, to)) return problem;
  const Strides to_strides(shape);
  StridedCopy copy;
  for (size_t axis = 0; axis < shape.rank; axis++)
    copy.add_axis(shape.dims[axis], from_strides[axis], to_strides.of[axis]);
  copy_strided(run, copy, data->memory.get(), to->memory.get(), bytes_of(data->element));
  return nullptr;
}

// https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html, whose attribute `value`, which is a tensor, comes as a second input.
Problem constant_of_shape(Run& run) {
  const Tensor *wanted = run.input(0), *value = run.input(1);
  if (wanted == nullptr) return kMissingInput;
  Shape shape;
  if (const Problem problem = read_shape(*wanted, shape)) return problem;
  if (value != nullptr && value->shape.count() != 1) return "its value is not one number";
  const Element element = value == nullptr ? Element::kFloat : value->element;
  constexpr float kZero = 0;
  Tensor* to;
  if (const Problem problem = make_checked_output(run, 0, element, shape, to)) return problem;
  StridedCopy copy;
  copy.add_axis(shape.count(), 0, 1);
  copy_strided(run, copy, value == nullptr ? reinterpret_cast<const char*>(&kZero) : value->memory.get(),
               to->memory.get(), bytes_of(element));
  return nullptr;
}

constexpr OperatorEntry kEntries[] = {
    {"", "Shape", make_operator<ShapeOf>},         {"", "Size", make_stateless<size_of>},
    {"", "Range", make_stateless<range>},          {"", "Expand", make_stateless<expand>},
    {"", "ConstantOfShape", make_stateless<constant_of_shape>},
};

}  // namespace

OperatorTable shape_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
