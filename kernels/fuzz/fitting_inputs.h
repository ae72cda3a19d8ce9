// Inputs and attributes that an operator of the standard takes, for the fuzzer of the engine: those that are chosen blindly are nearly
// always refused by the first checks of an operator with many conditions.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "../engine/operator.h"
#include "choices.h"

namespace dino8::engine {

struct FuzzedInput {
  Element element = Element::kFloat;
  Shape shape;
  std::vector<int64_t> integers;  // its elements; none for any
  bool is_left_out = false;
};

struct FuzzedNode {
  std::vector<FuzzedInput> inputs;
  std::vector<Attribute> attributes;
};

// Makes the inputs and attributes of one node. Every dimension is at most 6, but for a few.
class FittingInputs {
 public:
  explicit FittingInputs(Choices& choices) : choices_(choices) {}

  FuzzedNode of(const std::string& type) {
    node_ = {};
    if (type == "MatMulIntegerToFloat" || type == "MatMulInteger") integer_product(type == "MatMulIntegerToFloat");
    else if (type == "MatMul" || type == "Gemm") float_product(type == "Gemm");
    else if (type == "Conv") convolution();
    else if (type == "GridSample") grid_sample();
    else if (type == "InstanceNormalization") instance_normalization();
    else if (type == "LayerNormalization") layer_normalization();
    else if (type == "QuantizeLinear" || type == "DequantizeLinear") quantization(type == "QuantizeLinear");
    else if (type == "Slice") slice();
    else if (type == "Pad") pad();
    else if (type == "TopK") top_k();
    else if (type == "CumSum") cumulative_sum();
    else if (type == "Gather" || type == "GatherElements" || type == "GatherND") gather(type);
    else if (type == "Tile" || type == "Expand") with_list_for_axes(type == "Tile");
    else if (type == "Reshape") reshape();
    else if (type == "ConstantOfShape") list({size(), size()});
    else if (type == "Range") range();
    else if (type == "Cast") cast();
    else if (type == "Concat") concat();
    else if (type == "Where") where();
    else if (type == "And" || type == "Or") alike(2, Element::kBool);
    else if (type == "Not") alike(1, Element::kBool);
    else if (type == "Max" || type == "Min") alike(static_cast<size_t>(choices_.whole(1, 4)), number());
    else if (is_one_of(type, {"Add", "Sub", "Mul", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mod", "Pow"}))
      alike(2, type == "Mod" || choices_.once_in(2) ? number() : Element::kFloat);
    else alike(1, choices_.once_in(4) ? number() : Element::kFloat), maybe_integer("axis", 3), maybe_integer("keepdims", 1);
    return std::move(node_);
  }

 private:
  static bool is_one_of(const std::string& type, std::initializer_list<const char*> types) {
    return std::any_of(types.begin(), types.end(), [&](const char* each) { return type == each; });
  }

  int64_t size() { return choices_.once_in(30) ? choices_.one_of<int64_t>({0, 17, 33, 70}) : choices_.whole(1, 6); }
  Element number() {
    return choices_.one_of({Element::kFloat, Element::kInt64, Element::kInt32, Element::kUint8, Element::kInt8});
  }
  Element byte() { return choices_.one_of({Element::kUint8, Element::kInt8}); }

  Shape shape_of(std::vector<int64_t> dims) {
    Shape shape;
    shape.rank = std::min(dims.size(), kMaxRank);
    std::copy_n(dims.begin(), shape.rank, shape.dims);
    return shape;
  }
  Shape shape(int64_t least, int64_t most) {
    Shape made;
    made.rank = static_cast<size_t>(choices_.whole(least, most));
    for (size_t axis = 0; axis < made.rank; axis++) made.dims[axis] = size();
    return made;
  }
  size_t axis_of(const Shape& shape) {
    return static_cast<size_t>(choices_.whole(0, std::max<int64_t>(0, static_cast<int64_t>(shape.rank) - 1)));
  }

  void input(Element element, const Shape& shape, std::vector<int64_t> integers = {}) {
    node_.inputs.push_back({element, shape, std::move(integers), false});
  }
  void list(std::vector<int64_t> integers) {
    const Shape shape = shape_of({static_cast<int64_t>(integers.size())});
    input(Element::kInt64, shape, std::move(integers));
  }
  void left_out() { node_.inputs.push_back({{}, {}, {}, true}); }
  void integers(const char* name, std::vector<int64_t> values) {
    node_.attributes.emplace_back();
    node_.attributes.back().name = name;
    node_.attributes.back().integers = std::move(values);
  }
  void maybe_integer(const char* name, int64_t most) {
    if (choices_.once_in(2)) integers(name, {choices_.whole(0, most)});
  }
  void text(const char* name, const char* value) {
    node_.attributes.emplace_back();
    node_.attributes.back().name = name;
    node_.attributes.back().text = value;
  }

  // Tensors that meet by broadcasting.
  void alike(size_t count, Element element) {
    const Shape common = shape(0, 4);
    for (size_t index = 0; index < count; index++) {
      Shape own = common;
      for (size_t axis = 0; axis < own.rank; axis++)
        if (count > 1 && choices_.once_in(4)) own.dims[axis] = 1;
      if (count > 1 && own.rank > 0 && choices_.once_in(5)) {
        std::copy(own.dims + 1, own.dims + own.rank, own.dims);
        own.rank--;
      }
      input(element, own);
    }
  }

  void where() {
    alike(3, number());
    node_.inputs[0].element = Element::kBool;
  }

  // The leading dimensions of a factor of a product, and its last two.
  Shape factor(int64_t rows, int64_t columns, bool has_batch) {
    if (!has_batch) return shape_of({rows, columns});
    return shape_of({choices_.one_of<int64_t>({1, 2}), rows, columns});
  }

  void integer_product(bool is_to_float) {
    const int64_t m = size(), k = size(), n = size();
    const Element a = byte(), b = byte();
    input(a, factor(m, k, choices_.once_in(3)));
    const bool has_batch = choices_.once_in(4);
    input(b, factor(k, n, has_batch));
    const bool is_by_channel = choices_.once_in(2) && !has_batch;
    const Shape of_b = is_by_channel ? shape_of({n}) : shape_of({});
    if (is_to_float) input(Element::kFloat, shape_of({})), input(Element::kFloat, of_b);
    if (choices_.once_in(4)) return;
    if (choices_.once_in(4)) left_out();
    else input(a, shape_of({}));
    if (choices_.once_in(4)) left_out();
    else input(b, of_b);
    if (is_to_float && choices_.once_in(2)) input(Element::kFloat, shape_of({n}));
  }

  void float_product(bool is_gemm) {
    const int64_t m = size(), k = size(), n = size();
    if (!is_gemm) {
      input(Element::kFloat, factor(m, k, choices_.once_in(2)));
      return input(Element::kFloat, factor(k, n, choices_.once_in(2)));
    }
    const int64_t of_a = choices_.whole(0, 1), of_b = choices_.whole(0, 1);
    integers("transA", {of_a}), integers("transB", {of_b});
    input(Element::kFloat, of_a ? shape_of({k, m}) : shape_of({m, k}));
    input(Element::kFloat, of_b ? shape_of({n, k}) : shape_of({k, n}));
    if (choices_.once_in(2)) input(Element::kFloat, choices_.once_in(2) ? shape_of({n}) : shape_of({m, 1}));
  }

  void convolution() {
    const int64_t groups = choices_.whole(1, 3), channels = size(), kernels = size();
    const bool is_image = !choices_.once_in(3);
    const auto spatial = [&](int64_t least, int64_t most) {
      std::vector<int64_t> sizes;
      for (int axis = 0; axis < (is_image ? 2 : 1); axis++) sizes.push_back(choices_.whole(least, most));
      return sizes;
    };
    const auto with = [](std::vector<int64_t> first, const std::vector<int64_t>& rest) {
      first.insert(first.end(), rest.begin(), rest.end());
      return first;
    };
    const std::vector<int64_t> kernel = spatial(1, 3);
    input(Element::kFloat, shape_of(with({choices_.whole(1, 2), groups * channels}, spatial(1, 9))));
    input(Element::kFloat, shape_of(with({groups * kernels, channels}, kernel)));
    if (choices_.once_in(2)) input(Element::kFloat, shape_of({groups * kernels}));
    integers("group", {groups});
    if (choices_.once_in(2)) integers("kernel_shape", kernel);
    if (choices_.once_in(2)) integers("strides", spatial(1, 4));
    if (choices_.once_in(3)) integers("dilations", spatial(1, 3));
    if (choices_.once_in(3)) text("auto_pad", choices_.one_of({"SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"}));
    else if (choices_.once_in(2)) integers("pads", with(spatial(0, 3), spatial(0, 3)));
  }

  void grid_sample() {
    const int64_t images = choices_.whole(1, 2);
    input(Element::kFloat, shape_of({images, size(), size(), size()}));
    input(Element::kFloat, shape_of({images, size(), size(), 2}));
    text("mode", choices_.one_of({"linear", "bilinear", "nearest"}));
    text("padding_mode", choices_.one_of({"zeros", "zeros", "border"}));
    maybe_integer("align_corners", 1);
  }

  void instance_normalization() {
    const Shape x = shape(2, 4);
    input(Element::kFloat, x);
    for (int each = 0; each < 2; each++) input(Element::kFloat, shape_of({x.dims[1]}));
  }

  void layer_normalization() {
    const Shape x = shape(1, 4);
    const size_t axis = axis_of(x);
    input(Element::kFloat, x);
    const std::vector<int64_t> rest(x.dims + axis, x.dims + x.rank);
    for (int64_t each = choices_.whole(1, 2); each > 0; each--) input(Element::kFloat, shape_of(rest));
    integers("axis", {static_cast<int64_t>(axis)});
  }

  void quantization(bool is_to_bytes) {
    const Shape x = shape(0, 4);
    const size_t axis = axis_of(x);
    const Element element = byte();
    input(is_to_bytes ? Element::kFloat : choices_.once_in(4) ? Element::kInt32 : element, x);
    const bool is_by_channel = x.rank > 0 && choices_.once_in(2);
    const Shape parameter = is_by_channel ? shape_of({x.dims[axis]}) : shape_of({});
    input(Element::kFloat, parameter);
    if (!choices_.once_in(3)) input(is_to_bytes ? element : node_.inputs[0].element, parameter);
    if (is_by_channel || choices_.once_in(4)) integers("axis", {static_cast<int64_t>(axis)});
  }

  void slice() {
    const Shape x = shape(1, 4);
    input(number(), x);
    std::vector<int64_t> starts, ends, axes, steps;
    for (size_t axis = 0; axis < x.rank; axis++) {
      if (choices_.once_in(3)) continue;
      starts.push_back(choices_.whole(-7, 7)), ends.push_back(choices_.once_in(5) ? int64_t{1} << 62 : choices_.whole(-7, 7));
      axes.push_back(static_cast<int64_t>(axis) - (choices_.once_in(3) ? static_cast<int64_t>(x.rank) : 0));
      steps.push_back(choices_.one_of<int64_t>({1, 1, 2, -1, -2, 5}));
    }
    list(starts), list(ends), list(axes);
    if (choices_.once_in(2)) list(steps);
  }

  void pad() {
    const Shape x = shape(1, 4);
    const Element element = number();
    input(element, x);
    std::vector<int64_t> pads;
    for (size_t at = 0; at < 2 * x.rank; at++) pads.push_back(choices_.once_in(6) ? -1 : choices_.whole(0, 3));
    list(pads);
    if (choices_.once_in(2)) input(element, shape_of({}));
    if (choices_.once_in(3)) text("mode", choices_.one_of({"constant", "reflect", "edge"}));
  }

  void top_k() {
    const Shape x = shape(1, 4);
    const size_t axis = axis_of(x);
    input(choices_.once_in(2) ? Element::kFloat : number(), x);
    list({choices_.whole(0, x.dims[axis])});
    integers("axis", {static_cast<int64_t>(axis)});
    maybe_integer("largest", 1), maybe_integer("sorted", 1);
  }

  void cumulative_sum() {
    const Shape x = shape(1, 4);
    input(number(), x);
    input(choices_.one_of({Element::kInt64, Element::kInt32}), shape_of({}), {static_cast<int64_t>(axis_of(x))});
    maybe_integer("exclusive", 1), maybe_integer("reverse", 1);
  }

  void gather(const std::string& type) {
    const Shape x = shape(1, 4);
    const size_t axis = axis_of(x);
    input(number(), x);
    std::vector<int64_t> indices;
    const auto index = [&](int64_t most) { return choices_.whole(-most, std::max<int64_t>(0, most - 1)); };
    Shape of_indices = shape(0, 2);
    if (type == "GatherElements") {
      of_indices = x;
      of_indices.dims[axis] = size();
    }
    if (type == "GatherND") {
      const int64_t batch = choices_.once_in(3) && x.rank > 1 ? 1 : 0;
      const int64_t length = choices_.whole(1, static_cast<int64_t>(x.rank) - batch);
      of_indices = batch ? shape_of({x.dims[0], size(), length}) : shape_of({size(), length});
      for (int64_t at = 0; at < of_indices.count(); at++) indices.push_back(index(x.dims[batch + at % length]));
      integers("batch_dims", {batch});
    } else {
      for (int64_t at = 0; at < of_indices.count(); at++) indices.push_back(index(x.dims[axis]));
      integers("axis", {static_cast<int64_t>(axis)});
    }
    input(choices_.one_of({Element::kInt64, Element::kInt32}), of_indices, indices);
  }

  void with_list_for_axes(bool is_tile) {
    const Shape x = shape(0, 4);
    input(number(), x);
    std::vector<int64_t> sizes;
    for (size_t axis = 0; axis < x.rank; axis++)
      sizes.push_back(is_tile ? choices_.whole(0, 3) : x.dims[axis] == 1 || choices_.once_in(3) ? size() : x.dims[axis]);
    if (!is_tile && choices_.once_in(3)) sizes.insert(sizes.begin(), size());
    list(sizes);
  }

  void reshape() {
    const Shape x = shape(0, 4);
    input(number(), x);
    std::vector<int64_t> sizes(x.dims, x.dims + x.rank);
    std::reverse(sizes.begin(), sizes.end());
    if (!sizes.empty() && choices_.once_in(2)) sizes[0] = -1;
    if (choices_.once_in(3)) sizes.push_back(1);
    list(sizes);
  }

  void range() {
    const Element element = choices_.one_of({Element::kFloat, Element::kInt64, Element::kInt32});
    for (int64_t value : {choices_.whole(-3, 3), choices_.whole(-20, 20), choices_.one_of<int64_t>({1, 2, -1, 7})})
      input(element, shape_of({}), {value});
  }

  void cast() {
    alike(1, choices_.once_in(5) ? Element::kBool : number());
    integers("to", {choices_.one_of<int64_t>({1, 2, 3, 6, 7, 9})});
  }

  void concat() {
    Shape x = shape(1, 4);
    const size_t axis = axis_of(x);
    const Element element = number();
    for (int64_t each = choices_.whole(1, 4); each > 0; each--) {
      x.dims[axis] = size();
      input(element, x);
    }
    integers("axis", {static_cast<int64_t>(axis)});
  }

  Choices& choices_;
  FuzzedNode node_;
};

}  // namespace dino8::engine
