#include "gather.h"

#include "checks.h"
#include "ranges.h"
#include "strided_copy.h"

namespace dino8::engine {
namespace {

// The bytes of a row beside which finding the row costs nothing.
constexpr double kCostOfRow = 16;

// Adds the dimensions of `from` from axis `begin` to before `end`; false if they are too many.
bool add_axes(Shape& shape, const Shape& from, size_t begin, size_t end) {
  if (end - begin > kMaxRank - shape.rank) return false;
  for (size_t axis = begin; axis < end; axis++) shape.dims[shape.rank++] = from.dims[axis];
  return true;
}

// Takes the indices of a tensor into a dimension of `size`, each of which is checked.
Problem read_indices(const Tensor& picked, int64_t size, IntegerList& indices) {
  if (const Problem problem = indices.read_all(picked)) return problem;
  for (size_t at = 0; at < indices.count(); at++) {
    int64_t index = indices[at];
    if (!find_index(index, size)) return kWrongIndex;
  }
  return nullptr;
}

// https://onnx.ai/onnx/operators/onnx__Gather.html
class Gather : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 0);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *data = run.input(0), *picked = run.input(1);
    if (data == nullptr || picked == nullptr) return kMissingInput;
    const Shape& from = data->shape;
    size_t axis;
    if (const Problem problem = resolve_axis(axis_, from.rank, axis)) return problem;
    const int64_t size = from.dims[axis];
    IntegerList indices;
    if (const Problem problem = read_indices(*picked, size, indices)) return problem;
    Shape shape;
    if (!add_axes(shape, from, 0, axis) || !add_axes(shape, picked->shape, 0, picked->shape.rank) ||
        !add_axes(shape, from, axis + 1, from.rank))
      return kTooManyDimensions;
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, data->element, shape, to)) return problem;
    if (shape.count() == 0) return nullptr;
    const int64_t row = from.count(axis + 1, from.rank) * static_cast<int64_t>(bytes_of(data->element));
    const int64_t count = static_cast<int64_t>(indices.count());
    const char* source = data->memory.get();
    char* target = to->memory.get();
    for_each_range(run, from.count(0, axis) * count, static_cast<double>(row) + kCostOfRow,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t at = begin; at < end; at++) {
                       int64_t index = indices[static_cast<size_t>(at % count)];
                       if (index < 0) index += size;
                       copy_bytes(target + at * row, source + (at / count * size + index) * row, row);
                     }
                   });
    return nullptr;
  }

 private:
  int64_t axis_ = 0;
};

// https://onnx.ai/onnx/operators/onnx__GatherND.html
class GatherNd : public Operator {
 public:
  Problem start(const Node& node) {
    batch_axes_ = node.integer("batch_dims", 0);
    return batch_axes_ < 0 ? kNegativeSize : nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *data = run.input(0), *picked = run.input(1);
    if (data == nullptr || picked == nullptr) return kMissingInput;
    const Shape &from = data->shape, &by = picked->shape;
    if (from.rank == 0 || by.rank == 0) return kWrongShape;
    if (batch_axes_ >= static_cast<int64_t>(std::min(from.rank, by.rank))) return kWrongShape;
    const size_t batch = static_cast<size_t>(batch_axes_);
    for (size_t axis = 0; axis < batch; axis++)
      if (from.dims[axis] != by.dims[axis]) return kWrongShape;
    const int64_t tuple = by.dims[by.rank - 1];
    if (tuple < 1 || tuple > static_cast<int64_t>(from.rank - batch)) return kWrongShape;
    const size_t row_axis = batch + static_cast<size_t>(tuple);
    IntegerList indices;
    if (const Problem problem = indices.read_all(*picked)) return problem;
    for (size_t at = 0; at < indices.count(); at++) {
      int64_t index = indices[at];
      if (!find_index(index, from.dims[batch + at % static_cast<size_t>(tuple)])) return kWrongIndex;
    }
    Shape shape;
    if (!add_axes(shape, by, 0, by.rank - 1) || !add_axes(shape, from, row_axis, from.rank)) return kTooManyDimensions;
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, data->element, shape, to)) return problem;
    if (shape.count() == 0) return nullptr;
    const int64_t row = from.count(row_axis, from.rank) * static_cast<int64_t>(bytes_of(data->element));
    const int64_t rows_of_batch = by.count(batch, by.rank - 1);
    const char* source = data->memory.get();
    char* target = to->memory.get();
    for_each_range(run, by.count(0, by.rank - 1), static_cast<double>(row) + kCostOfRow,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t at = begin; at < end; at++) {
                       int64_t found = at / rows_of_batch;
                       for (size_t axis = batch; axis < row_axis; axis++) {
                         int64_t index = indices[static_cast<size_t>(at * tuple) + axis - batch];
                         if (index < 0) index += from.dims[axis];
                         found = found * from.dims[axis] + index;
                       }
                       copy_bytes(target + at * row, source + found * row, row);
                     }
                   });
    return nullptr;
  }

 private:
  int64_t batch_axes_ = 0;
};

// https://onnx.ai/onnx/operators/onnx__GatherElements.html
class GatherElements : public Operator {
 public:
  Problem start(const Node& node) {
    axis_ = node.integer("axis", 0);
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *data = run.input(0), *picked = run.input(1);
    if (data == nullptr || picked == nullptr) return kMissingInput;
    const Shape &from = data->shape, &by = picked->shape;
    size_t axis;
    if (from.rank != by.rank) return kWrongShape;
    if (const Problem problem = resolve_axis(axis_, from.rank, axis)) return problem;
    for (size_t other = 0; other < from.rank; other++)
      if (other != axis && by.dims[other] > from.dims[other]) return kWrongShape;
    IntegerList indices;
    if (const Problem problem = read_indices(*picked, from.dims[axis], indices)) return problem;
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, data->element, by, to)) return problem;
    if (by.count() == 0) return nullptr;
    switch (bytes_of(data->element)) {
      case 1: pick<uint8_t>(run, *data, by, axis, indices, *to); break;
      case 4: pick<uint32_t>(run, *data, by, axis, indices, *to); break;
      default: pick<uint64_t>(run, *data, by, axis, indices, *to);
    }
    return nullptr;
  }

 private:
  // Elements of a row of indices.
  template <class Item>
  static void pick(Run& run, const Tensor& data, const Shape& by, size_t axis, const IntegerList& indices, Tensor& to) {
    const Strides strides(data.shape);
    const size_t last = by.rank - 1;
    const int64_t row = by.dims[last], size = data.shape.dims[axis];
    const int64_t step = axis == last ? 0 : 1;
    const Item* source = data.data<Item>();
    Item* target = to.data<Item>();
    for_each_range(run, by.count(0, last), static_cast<double>(row) * kCostOfRow, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; at++) {
        int64_t base = 0, rest = at;
        for (size_t outer = last; outer-- > 0; rest /= by.dims[outer])
          if (outer != axis) base += rest % by.dims[outer] * strides.of[outer];
        for (int64_t column = 0; column < row; column++) {
          int64_t index = indices[static_cast<size_t>(at * row + column)];
          if (index < 0) index += size;
          target[at * row + column] = source[base + column * step + index * strides.of[axis]];
        }
      }
    });
  }

  int64_t axis_ = 0;
};

}  // namespace

Problem make_gather(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<Gather>(node, out); }
Problem make_gather_nd(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<GatherNd>(node, out); }
Problem make_gather_elements(const Node& node, std::unique_ptr<Operator>& out) {
  return make_operator<GatherElements>(node, out);
}

}  // namespace dino8::engine
