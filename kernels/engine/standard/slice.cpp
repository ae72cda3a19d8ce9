#include "slice.h"

#include <algorithm>
#include <limits>

#include "checks.h"
#include "strided_copy.h"

namespace dino8::engine {
namespace {

// Takes an optional input that is a list of integers. Without it, `list` keeps its value.
Problem read_list(const Run& run, size_t index, IntegerList& list) {
  const Tensor* input = run.input(index);
  return input == nullptr ? nullptr : list.read(*input);
}

// The elements of an axis that a slice takes.
struct Cut {
  int64_t begin = 0, step = 1, count;

  explicit Cut(int64_t size) : count(size) {}

  // As https://onnx.ai/onnx/operators/onnx__Slice.html clamps them. The largest end means "up to the end" backwards, too, as in
  // ONNX Runtime.
  Cut(int64_t size, int64_t start, int64_t end, int64_t by) {
    // Steps beyond the largest dimension all take one element. Clamped, they do not overflow.
    step = std::clamp(by, -kMaxBytes, kMaxBytes);
    if (step < 0 && (end == std::numeric_limits<int32_t>::max() || end == std::numeric_limits<int64_t>::max()))
      end = std::numeric_limits<int64_t>::min();
    if (start < 0) start += size;
    if (end < 0) end += size;
    if (step > 0) {
      begin = std::clamp<int64_t>(start, 0, size);
      count = std::max<int64_t>(0, std::clamp<int64_t>(end, 0, size) - begin + step - 1) / step;
    } else {
      begin = std::min(std::max<int64_t>(start, 0), size - 1);
      count = std::max<int64_t>(0, begin - std::min(std::max<int64_t>(end, -1), size - 1) - step - 1) / -step;
    }
  }
};

// Before version 10, starts, ends and axes are attributes.
class Slice : public Operator {
 public:
  Problem start(const Node& node) {
    is_old_ = node.opset < 10;
    if (!is_old_) return nullptr;
    const Attribute *starts = node.find("starts"), *ends = node.find("ends"), *axes = node.find("axes");
    if (starts == nullptr || ends == nullptr) return "it does not say where a slice starts and ends";
    starts_ = starts->integers, ends_ = ends->integers;
    if (axes != nullptr) axes_ = axes->integers, has_axes_ = true;
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr || (!is_old_ && (run.input(1) == nullptr || run.input(2) == nullptr))) return kMissingInput;
    IntegerList starts(starts_), ends(ends_), axes(axes_), steps;
    if (!is_old_) {
      if (const Problem problem = read_list(run, 1, starts)) return problem;
      if (const Problem problem = read_list(run, 2, ends)) return problem;
      if (const Problem problem = read_list(run, 3, axes)) return problem;
      if (const Problem problem = read_list(run, 4, steps)) return problem;
    }
    const bool has_axes = is_old_ ? has_axes_ : run.input(3) != nullptr;
    const bool has_steps = !is_old_ && run.input(4) != nullptr;
    const Shape& from = data->shape;
    const size_t count = starts.count();
    if (count > from.rank || ends.count() != count || (has_axes && axes.count() != count) ||
        (has_steps && steps.count() != count))
      return "it has not one start, end, axis and step for each slice";
    Shape shape = from;
    int64_t offset = 0;
    bool is_listed[kMaxRank] = {}, is_whole = true;
    const Strides strides(from);
    int64_t from_strides[kMaxRank];
    std::copy(strides.of, strides.of + from.rank, from_strides);
    for (size_t at = 0; at < count; at++) {
      size_t axis = at;
      if (has_axes)
        if (const Problem problem = resolve_axis(axes[at], from.rank, axis)) return problem;
      if (is_listed[axis]) return kRepeatedAxis;
      is_listed[axis] = true;
      const int64_t step = has_steps ? steps[at] : 1;
      if (step == 0) return "a step is 0";
      const Cut cut(from.dims[axis], starts[at], ends[at], step);
      shape.dims[axis] = cut.count;
      from_strides[axis] *= cut.step;
      if (cut.count > 0) offset += cut.begin * strides.of[axis];
      is_whole = is_whole && cut.count == from.dims[axis] && (cut.step == 1 || cut.count < 2);
    }
    if (is_whole) {
      run.set_output(0, *data);
      return nullptr;
    }
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, data->element, shape, to)) return problem;
    if (shape.count() == 0) return nullptr;
    const Strides to_strides(shape);
    StridedCopy copy;
    for (size_t axis = 0; axis < shape.rank; axis++)
      copy.add_axis(shape.dims[axis], from_strides[axis], to_strides.of[axis]);
    const size_t bytes = bytes_of(data->element);
    copy_strided(run, copy, data->memory.get() + offset * static_cast<int64_t>(bytes), to->memory.get(), bytes);
    return nullptr;
  }

 private:
  std::vector<int64_t> starts_, ends_, axes_;
  bool is_old_ = false, has_axes_ = false;
};

// https://onnx.ai/onnx/operators/onnx__Pad.html with the mode "constant". Before version 11, pads and value are attributes.
class Pad : public Operator {
 public:
  Problem start(const Node& node) {
    is_old_ = node.opset < 11;
    if (node.text("mode", "constant") != "constant") return "only the mode constant is supported";
    if (!is_old_) return nullptr;
    const Attribute* pads = node.find("pads");
    if (pads == nullptr) return kNoPads;
    pads_ = pads->integers;
    value_ = node.number("value", 0);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor* data = run.input(0);
    if (data == nullptr || (!is_old_ && run.input(1) == nullptr)) return kMissingInput;
    const Shape& from = data->shape;
    const size_t bytes = bytes_of(data->element);
    int64_t before[kMaxRank] = {}, after[kMaxRank] = {};
    if (const Problem problem = read_pads(run, from.rank, before, after)) return problem;
    char value[8] = {};
    if (const Problem problem = read_value(run, *data, value)) return problem;

    Shape shape = from, kept = from;
    for (size_t axis = 0; axis < from.rank; axis++) {
      const int64_t size = from.dims[axis];
      shape.dims[axis] = size + before[axis] + after[axis];
      if (shape.dims[axis] < 0) return kNegativeSize;
      kept.dims[axis] = std::max<int64_t>(0, size + std::min<int64_t>(before[axis], 0) + std::min<int64_t>(after[axis], 0));
    }
    if (shape == from && kept == from) {
      run.set_output(0, *data);
      return nullptr;
    }
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, data->element, shape, to)) return problem;
    StridedCopy fill;
    if (kept.count() < shape.count()) {
      fill.add_axis(shape.count(), 0, 1);
      copy_strided(run, fill, value, to->memory.get(), bytes);
    }
    if (kept.count() == 0) return nullptr;
    const Strides from_strides(from), to_strides(shape);
    StridedCopy copy;
    int64_t from_offset = 0, to_offset = 0;
    for (size_t axis = 0; axis < from.rank; axis++) {
      copy.add_axis(kept.dims[axis], from_strides.of[axis], to_strides.of[axis]);
      from_offset += std::max<int64_t>(0, -before[axis]) * from_strides.of[axis];
      to_offset += std::max<int64_t>(0, before[axis]) * to_strides.of[axis];
    }
    const int64_t size = static_cast<int64_t>(bytes);
    copy_strided(run, copy, data->memory.get() + from_offset * size, to->memory.get() + to_offset * size, bytes);
    return nullptr;
  }

 private:
  static constexpr Problem kNoPads = "it has not two pads for each axis";

  Problem read_pads(const Run& run, size_t rank, int64_t (&before)[kMaxRank], int64_t (&after)[kMaxRank]) const {
    IntegerList pads(pads_), axes;
    const bool has_axes = !is_old_ && run.input(3) != nullptr;
    if (!is_old_)
      if (const Problem problem = read_list(run, 1, pads)) return problem;
    if (has_axes)
      if (const Problem problem = read_list(run, 3, axes)) return problem;
    const size_t count = has_axes ? axes.count() : rank;
    if (count > rank || pads.count() != 2 * count) return kNoPads;
    bool is_listed[kMaxRank] = {};
    for (size_t at = 0; at < count; at++) {
      size_t axis = at;
      if (has_axes)
        if (const Problem problem = resolve_axis(axes[at], rank, axis)) return problem;
      if (is_listed[axis]) return kRepeatedAxis;
      is_listed[axis] = true;
      before[axis] = pads[at];
      after[axis] = pads[at + count];
      for (const int64_t pad : {before[axis], after[axis]})
        if (pad < -kMaxBytes || pad > kMaxBytes) return kTooLarge;
    }
    return nullptr;
  }

  Problem read_value(const Run& run, const Tensor& data, char (&value)[8]) const {
    if (is_old_) {
      if (data.element != Element::kFloat) return kWrongType;
      std::memcpy(value, &value_, sizeof value_);
    } else if (const Tensor* input = run.input(2)) {
      if (input->element != data.element) return kWrongType;
      if (input->shape.count() != 1) return "the value of the pads is not one number";
      std::memcpy(value, input->memory.get(), bytes_of(data.element));
    }
    return nullptr;
  }

  std::vector<int64_t> pads_;
  float value_ = 0;
  bool is_old_ = false;
};

}  // namespace

Problem make_slice(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Slice>(node, out); }
Problem make_pad(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Pad>(node, out); }

}  // namespace dino8::engine
