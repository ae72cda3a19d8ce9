// The custom operators of fake quantization. How the rows are split into parts depends on the shape alone, and the sums
// of the parts are added in order, so the result is the same for any number of threads.
#include <algorithm>
#include <vector>

#include "cpu_operator.h"
#include "fake_quantize_op.h"

namespace dino8 {
namespace {

enum Input { kX, kScale, kZeroPoint, kLowest, kHighest, kGradientFactor, kEnabled, kInputs };

constexpr int64_t kMaxParts = 16;
constexpr int64_t kMinPart = 1 << 13;  // elements
constexpr int64_t kRow = 1 << 10;      // elements of a row where one scale holds for the whole tensor

struct Work {
  const GradientKernels& kernels;
  FakeQuantizeRows all;
  int64_t total, parts;
  bool enabled;
  std::vector<float> zero_points;  // [channels]
  const float* gradient;
  float* out;
  std::vector<float> sums;  // for each part the gradients of the scales

  // A part holds whole groups of channels, so that it begins with the first channel.
  FakeQuantizeRows part(size_t index, int64_t& at) const {
    const auto number = static_cast<int64_t>(index);
    const int64_t unit = all.per_element || all.channels == 1 ? 1 : all.channels, groups = all.rows / unit;
    const int64_t first = groups * number / parts * unit, last = groups * (number + 1) / parts * unit;
    at = first * all.inner;
    FakeQuantizeRows rows = all;
    rows.x += at;
    rows.rows = last - first;
    return rows;
  }
};

void forward_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  int64_t at = 0;
  const FakeQuantizeRows rows = work.part(index, at);
  work.kernels.fake_quantize(rows, work.out + at);
}

void gradient_task(void* data, size_t index) {
  Work& work = *static_cast<Work*>(data);
  int64_t at = 0;
  const FakeQuantizeRows rows = work.part(index, at);
  float* sums = &work.sums[index * static_cast<size_t>(work.all.channels)];
  work.kernels.fake_quantize_gradient(rows, work.gradient + at, work.out + at, sums);
}

// Finds along which axis of the value the scales lie. Returns null, or the sentence that says what is wrong.
const char* arrange(const InputTensor& x, const InputTensor& scale, Work& work) {
  FakeQuantizeRows& rows = work.all;
  rows.channels = scale.count();
  work.total = x.count();
  // An empty tensor is split into zero parts, and its dimensions may have any product.
  work.parts = 0;
  if (rows.channels == 1) {
    rows.inner = work.total % kRow == 0 ? kRow : (x.rank > 0 ? x.dims[x.rank - 1] : 1);
  } else {
    if (scale.rank > x.rank) return "FakeQuantize: the scale has more axes than the value";
    const size_t offset = x.rank - scale.rank;
    size_t axis = x.rank;
    for (size_t index = 0; index < scale.rank; index++)
      if (scale.dims[index] != 1) {
        if (axis != x.rank) return "FakeQuantize: scales along several axes";
        axis = offset + index;
      }
    if (axis == x.rank || x.dims[axis] != rows.channels) return "FakeQuantize: the scales do not fit the value";
    if (work.total == 0) return nullptr;
    rows.inner = product_of(x.dims + axis + 1, x.rank - axis - 1);
    rows.per_element = rows.inner == 1;
    if (rows.per_element) rows.inner = rows.channels;
  }
  if (work.total == 0) return nullptr;
  rows.rows = work.total / rows.inner;
  const int64_t unit = rows.per_element || rows.channels == 1 ? 1 : rows.channels;
  work.parts = std::min(std::clamp<int64_t>(work.total / kMinPart, 1, kMaxParts), rows.rows / unit);
  return nullptr;
}

OrtStatus* read(const OrtApi& api, OrtKernelContext* context, Work& work, InputTensor (&in)[kInputs]) {
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(api, context, index, in[index])) return status;
  for (Input scalar : {kLowest, kHighest, kGradientFactor, kEnabled})
    if (in[scalar].count() != 1)
      return api.createStatus(kInvalidArgument, "FakeQuantize: an input that must be a scalar is not one");
  if (const char* problem = arrange(in[kX], in[kScale], work)) return api.createStatus(kInvalidArgument, problem);
  const auto number = [&](Input index) { return *static_cast<const float*>(in[index].data); };
  const auto channels = static_cast<size_t>(work.all.channels);
  const int64_t zeros = in[kZeroPoint].count();
  if (zeros != 1 && zeros != work.all.channels)
    return api.createStatus(kInvalidArgument, "FakeQuantize: the zero points do not fit the scales");
  const auto* zero_points = static_cast<const float*>(in[kZeroPoint].data);
  if (zeros == 1) work.zero_points.assign(channels, zero_points[0]);
  else work.zero_points.assign(zero_points, zero_points + zeros);
  work.all.x = static_cast<const float*>(in[kX].data);
  work.all.scales = static_cast<const float*>(in[kScale].data);
  work.all.zero_points = work.zero_points.data();
  work.all.lowest = number(kLowest), work.all.highest = number(kHighest);
  work.enabled = number(kEnabled) > 0.0f;
  return nullptr;
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  Work work{kernel.kernels.gradients, {}, 0, 1, true, {}, nullptr, nullptr, {}};
  InputTensor in[kInputs];
  if (OrtStatus* status = read(kernel.api, context, work, in)) return status;
  if (OrtStatus* status = make_output(kernel.api, context, 0, in[kX].dims, in[kX].rank, &work.out)) return status;
  if (work.enabled) return run_parts(kernel.api, context, work, work.parts, forward_task);
  std::copy(work.all.x, work.all.x + work.total, work.out);
  return nullptr;
}

OrtStatus* compute_gradient(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  const OrtApi& api = kernel.api;
  Work work{kernel.kernels.gradients, {}, 0, 1, true, {}, nullptr, nullptr, {}};
  InputTensor in[kInputs], gradient;
  if (OrtStatus* status = read(api, context, work, in)) return status;
  if (OrtStatus* status = read_input(api, context, kInputs, gradient)) return status;
  if (gradient.count() != work.total)
    return api.createStatus(kInvalidArgument,
                            "FakeQuantizeGradient: the gradient has a different shape than its value");
  work.gradient = static_cast<const float*>(gradient.data);
  float* by_scale = nullptr;
  if (OrtStatus* status = make_output(api, context, 0, in[kX].dims, in[kX].rank, &work.out)) return status;
  if (OrtStatus* status = make_output(api, context, 1, in[kScale].dims, in[kScale].rank, &by_scale)) return status;
  const auto channels = static_cast<size_t>(work.all.channels), parts = static_cast<size_t>(work.parts);
  std::fill(by_scale, by_scale + channels, 0.0f);
  if (!work.enabled) {
    std::copy(work.gradient, work.gradient + work.total, work.out);
    return nullptr;
  }
  work.sums.assign(parts * channels, 0.0f);
  if (OrtStatus* status = run_parts(api, context, work, work.parts, gradient_task)) return status;
  const float factor = *static_cast<const float*>(in[kGradientFactor].data);
  for (size_t c = 0; c < channels; c++) {
    for (size_t part = 0; part < parts; part++) by_scale[c] += work.sums[part * channels + c];
    by_scale[c] *= factor;
  }
  return nullptr;
}

OrtCustomOp describe_forward() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kFakeQuantize; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kInputs; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.KernelComputeV2 = guarded<OperatorKernel, compute>;
  return op;
}

OrtCustomOp describe_gradient() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kFakeQuantizeGradient; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kInputs + 1; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 2; };
  op.KernelComputeV2 = guarded<OperatorKernel, compute_gradient>;
  return op;
}

}  // namespace

OrtStatus* add_fake_quantize(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_forward(), describe_gradient()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
