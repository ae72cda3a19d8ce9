#include "grid_sample.h"

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "ranges.h"

namespace dino8::engine {
namespace {

// Points whose corners are found before the channels are sampled.
constexpr int64_t kPoints = 64;

// The four pixels around a point, and how much each counts. Those outside of the image count 0.
struct Corners {
  int64_t offsets[4] = {};
  float weights[4] = {};
};

// https://onnx.ai/onnx/operators/onnx__GridSample.html for images, with linear interpolation and zeros outside of the image.
class GridSample : public Operator {
 public:
  Problem start(const Node& node) {
    const std::string mode = node.text("mode", "linear"), padding = node.text("padding_mode", "zeros");
    aligns_corners_ = node.integer("align_corners", 0) != 0;
    if (mode != "linear" && mode != "bilinear") return "only the mode linear is supported";
    if (padding != "zeros") return "only the padding_mode zeros is supported";
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *images = run.input(0), *grid = run.input(1);
    if (images == nullptr || grid == nullptr) return kMissingInput;
    if (images->element != Element::kFloat || grid->element != Element::kFloat) return kWrongType;
    const Shape &from = images->shape, &by = grid->shape;
    if (from.rank != 4 || by.rank != 4) return "only images are supported";
    if (by.dims[0] != from.dims[0] || by.dims[3] != 2) return kWrongShape;
    Shape shape = from;
    shape.dims[2] = by.dims[1];
    shape.dims[3] = by.dims[2];
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, Element::kFloat, shape, to)) return problem;
    if (shape.count() == 0) return nullptr;
    const int64_t channels = from.dims[1], height = from.dims[2], width = from.dims[3];
    const int64_t points = by.dims[1] * by.dims[2], pieces = (points + kPoints - 1) / kPoints;
    const double cost = static_cast<double>(kPoints * channels) * 16;
    for_each_range(run, from.dims[0] * pieces, cost, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; at++) {
        const int64_t image = at / pieces, first = at % pieces * kPoints, count = std::min(kPoints, points - first);
        Corners corners[kPoints];
        const float* point = grid->data<float>() + (image * points + first) * 2;
        for (int64_t index = 0; index < count; index++)
          corners[index] = corners_of(point[2 * index], point[2 * index + 1], height, width);
        for (int64_t channel = image * channels; channel < (image + 1) * channels; channel++)
          sample(images->data<float>() + channel * height * width, height * width, corners, count,
                 to->data<float>() + channel * points + first);
      }
    });
    return nullptr;
  }

 private:
  static void sample(const float* pixels, int64_t size, const Corners* corners, int64_t count, float* out) {
    if (size == 0) return std::fill(out, out + count, 0.0f);
    for (int64_t index = 0; index < count; index++) {
      const Corners& of = corners[index];
      float sum = 0;
      for (int corner = 0; corner < 4; corner++)
        if (of.weights[corner] != 0) sum += of.weights[corner] * pixels[of.offsets[corner]];
      out[index] = sum;
    }
  }

  float pixel(float coordinate, int64_t size) const {
    const float count = static_cast<float>(size);
    return aligns_corners_ ? (coordinate + 1) / 2 * (count - 1) : ((coordinate + 1) * count - 1) / 2;
  }

  Corners corners_of(float x, float y, int64_t height, int64_t width) const {
    Corners corners;
    const float column = pixel(x, width), row = pixel(y, height);
    // Also false for what is not a number.
    const bool is_near = column > -1 && column < static_cast<float>(width) && row > -1 && row < static_cast<float>(height);
    if (!is_near) return corners;
    const float left = std::floor(column), top = std::floor(row);
    for (int corner = 0; corner < 4; corner++) {
      const int64_t at_column = static_cast<int64_t>(left) + corner % 2, at_row = static_cast<int64_t>(top) + corner / 2;
      if (at_column < 0 || at_column >= width || at_row < 0 || at_row >= height) continue;
      const float to_right = column - left, down = row - top;
      corners.offsets[corner] = at_row * width + at_column;
      corners.weights[corner] = (corner % 2 ? to_right : 1 - to_right) * (corner / 2 ? down : 1 - down);
    }
    return corners;
  }

  bool aligns_corners_ = false;
};

}  // namespace

Problem make_grid_sample(const Node& node, std::unique_ptr<Operator>& out) { return make_operator<GridSample>(node, out); }

}  // namespace dino8::engine
