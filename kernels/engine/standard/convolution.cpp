#include "convolution.h"

#include <algorithm>
#include <atomic>

#include "checks.h"
#include "float_product.h"

namespace dino8::engine {
namespace {

// The results of a convolution are the product of the weight [channels of the output, taps] with the numbers of the input that
// each tap meets [taps, positions]. These are copied in blocks of so many positions and taps, whose rows lie in different sets of
// a cache.
constexpr int64_t kPositions = 256, kTaps = 128, kStride = kPositions + 16;

// One of the two axes of an image. A signal is an image of one row.
struct Axis {
  int64_t size = 1, kernel = 1, stride = 1, dilation = 1, before = 0, after = 0, out = 1;
};

// https://onnx.ai/onnx/operators/onnx__Conv.html for one or two axes.
class Convolution : public Operator {
 public:
  Problem start(const Node& node) {
    const std::string padding = node.text("auto_pad", "NOTSET");
    is_valid_ = padding == "VALID";
    is_same_upper_ = padding == "SAME_UPPER";
    is_same_lower_ = padding == "SAME_LOWER";
    if (!is_valid_ && !is_same_upper_ && !is_same_lower_ && padding != "NOTSET") return "its auto_pad is unknown";
    group_ = node.integer("group", 1);
    if (group_ < 1 || group_ > kMaxBytes) return "it has no group";
    if (!read(node, "kernel_shape", 1, kernel_) || !read(node, "strides", 1, strides_) ||
        !read(node, "dilations", 1, dilations_) || !read(node, "pads", 0, pads_))
      return "its kernel_shape, strides, dilations or pads are not those of one or two axes";
    return nullptr;
  }

  Problem run(Run& run) override {
    const Tensor *x = run.input(0), *w = run.input(1), *bias = run.input(2);
    if (x == nullptr || w == nullptr) return kMissingInput;
    for (const Tensor* input : {x, w, bias})
      if (input != nullptr && input->element != Element::kFloat) return kWrongType;
    const size_t rank = x->shape.rank;
    if (rank != 3 && rank != 4) return "only convolutions of one or two axes are supported";
    Sizes sizes;
    if (const Problem problem = find_sizes(x->shape, w->shape, sizes)) return problem;
    if (bias != nullptr && (bias->shape.rank != 1 || bias->shape.dims[0] != w->shape.dims[0])) return kWrongShape;
    Shape shape = x->shape;
    shape.dims[1] = w->shape.dims[0];
    for (size_t axis = 2; axis < rank; axis++) shape.dims[axis] = sizes.axes[axis - rank + 2].out;
    Tensor* to;
    if (const Problem problem = make_checked_output(run, 0, Element::kFloat, shape, to)) return problem;
    if (shape.count() == 0) return nullptr;
    return convolve(run, *x, *w, bias, sizes, *to);
  }

 private:
  struct Sizes {
    Axis axes[2];                      // rows and columns
    int64_t channels = 0, kernels = 0;  // of one group: of the input and of the output
    int64_t taps = 0, positions = 0;

    // True if the numbers that the taps meet are the input itself.
    bool is_product() const {
      const auto is_plain = [](const Axis& axis) {
        return axis.kernel == 1 && axis.stride == 1 && axis.before == 0 && axis.after == 0;
      };
      return is_plain(axes[0]) && is_plain(axes[1]);
    }
  };

  static bool read(const Node& node, const char* name, int64_t smallest, std::vector<int64_t>& out) {
    const Attribute* found = node.find(name);
    if (found == nullptr) return true;
    out = found->integers;
    return !out.empty() && out.size() <= 4 && std::all_of(out.begin(), out.end(), [&](int64_t value) {
      return value >= smallest && value <= kMaxBytes;
    });
  }

  Problem find_sizes(const Shape& x, const Shape& w, Sizes& sizes) const {
    const size_t spatial = x.rank - 2;
    if (w.rank != x.rank) return kWrongShape;
    if (x.dims[1] != w.dims[1] * group_ || w.dims[0] % group_ != 0) return kWrongShape;
    const auto fits = [](const std::vector<int64_t>& list, size_t count) { return list.empty() || list.size() == count; };
    if (!fits(kernel_, spatial) || !fits(strides_, spatial) || !fits(dilations_, spatial) || !fits(pads_, 2 * spatial))
      return "its attributes have not one number for each axis";
    for (size_t at = 0; at < spatial; at++) {
      Axis& axis = sizes.axes[at + 2 - spatial];
      axis.size = x.dims[at + 2];
      axis.kernel = w.dims[at + 2];
      if (axis.kernel < 1 || (!kernel_.empty() && kernel_[at] != axis.kernel)) return "its kernel_shape is not that of its weight";
      if (!strides_.empty()) axis.stride = strides_[at];
      if (!dilations_.empty()) axis.dilation = dilations_[at];
      const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;  // factors are at most 2^31
      if (is_same_upper_ || is_same_lower_) {
        const int64_t out = (axis.size + axis.stride - 1) / axis.stride;
        const int64_t pads = (out - 1) * axis.stride + reach - axis.size;
        // Runtimes differ in which numbers they leave out then.
        if (pads < 0) return "an auto_pad of SAME with strides larger than the kernel is not supported";
        axis.before = (is_same_upper_ ? pads : pads + 1) / 2;
        axis.after = pads - axis.before;
      } else if (!is_valid_ && !pads_.empty()) {
        axis.before = pads_[at];
        axis.after = pads_[at + spatial];
      }
      const int64_t room = axis.size + axis.before + axis.after - reach;
      if (room < 0) return "its kernel is larger than its input";
      axis.out = room / axis.stride + 1;
    }
    sizes.channels = w.dims[1];
    sizes.kernels = w.dims[0] / group_;
    sizes.taps = w.count(1, w.rank);
    return nullptr;
  }

  Problem convolve(Run& run, const Tensor& x, const Tensor& w, const Tensor* bias, Sizes& sizes, Tensor& to) const {
    const int64_t taps = sizes.taps, kernels = sizes.kernels;
    sizes.positions = sizes.axes[0].out * sizes.axes[1].out;
    const int64_t positions = sizes.positions, image = sizes.axes[0].size * sizes.axes[1].size;
    const bool is_product = sizes.is_product();
    std::atomic<bool> has_memory{true};
    const auto block_product = [&](const ProductBlock& block) {
      // A batch is a group of an image.
      const float* image_of_group = x.data<float>() + block.batch * sizes.channels * image;
      const int64_t kernel = block.batch % group_ * kernels + block.row;
      float* out = to.data<float>() + (block.batch * kernels + block.row) * positions + block.column;
      for (int64_t row = 0; row < block.rows; row++)
        std::fill_n(out + row * positions, block.columns, bias == nullptr ? 0.0f : bias->data<float>()[kernel + row]);
      FloatProduct product{block.rows, taps, block.columns, {w.data<float>() + kernel * taps, taps}, {}, {out, positions}, true};
      if (is_product) {
        product.b = {image_of_group + block.column, image};
        return multiply(product);
      }
      const std::shared_ptr<char> memory = allocate(kTaps * kStride * static_cast<int64_t>(sizeof(float)));
      if (memory == nullptr) {
        has_memory = false;
        return;
      }
      float* met = reinterpret_cast<float*>(memory.get());
      for (int64_t column = 0; column < block.columns; column += kPositions)
        for (int64_t tap = 0; tap < taps; tap += kTaps) {
          FloatProduct part = product;
          part.columns = std::min(kPositions, block.columns - column);
          part.depth = std::min(kTaps, taps - tap);
          for (int64_t at = 0; at < part.depth; at++)
            copy_met(sizes, image_of_group, tap + at, block.column + column, part.columns, met + at * kStride);
          part.a.data += tap;
          part.b = {met, kStride};
          part.out.data += column;
          multiply(part);
        }
    };
    ProductBlocks(x.shape.dims[0] * group_, kernels, taps, positions, {64, kPositions}).for_each(run, block_product);
    return has_memory ? nullptr : kNoMemory;
  }

  // Copies the numbers that a tap meets at `count` positions; 0 in the pads.
  static void copy_met(const Sizes& sizes, const float* image, int64_t tap, int64_t position, int64_t count, float* to) {
    const Axis &rows = sizes.axes[0], &columns = sizes.axes[1];
    const int64_t tap_column = tap % columns.kernel, tap_row = tap / columns.kernel % rows.kernel;
    const float* channel = image + tap / columns.kernel / rows.kernel * rows.size * columns.size;
    const int64_t shift = tap_column * columns.dilation - columns.before;  // of the column at position 0
    while (count > 0) {
      const int64_t first = position % columns.out, taken = std::min(count, columns.out - first);
      const int64_t row = position / columns.out * rows.stride + tap_row * rows.dilation - rows.before;
      int64_t begin = taken, end = taken;  // the positions that meet the image
      if (row >= 0 && row < rows.size) {
        // The first positions whose columns are not before 0 and not before the end.
        const auto reaching = [&](int64_t column) {
          const int64_t distance = column - shift - first * columns.stride;
          return distance <= 0 ? 0 : std::min(taken, (distance - 1) / columns.stride + 1);
        };
        begin = reaching(0);
        end = reaching(columns.size);
      }
      std::fill(to, to + begin, 0.0f);
      if (begin < end) {
        const float* from = channel + row * columns.size + (first + begin) * columns.stride + shift;
        if (columns.stride == 1)
          std::copy_n(from, end - begin, to + begin);
        else
          for (int64_t at = begin; at < end; at++, from += columns.stride) to[at] = *from;
      }
      std::fill(to + end, to + taken, 0.0f);
      to += taken;
      position += taken;
      count -= taken;
    }
  }

  int64_t group_ = 1;
  bool is_valid_ = false, is_same_upper_ = false, is_same_lower_ = false;
  std::vector<int64_t> kernel_, strides_, dilations_, pads_;
};

}  // namespace

Problem make_convolution(const Node& node, std::unique_ptr<Operator>& out) {
  return make_operator<Convolution>(node, out);
}

}  // namespace dino8::engine
