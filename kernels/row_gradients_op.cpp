// The custom operators whose rows are independent: the gradients of layer normalization and softmax. How the rows are
// split into parts depends on the shape alone, and the sums of the parts are added in order, so the result is the same
// for any number of threads.
#include <algorithm>
#include <vector>

#include "cpu_operator.h"
#include "row_gradients_op.h"

namespace dino8 {
namespace {

constexpr int64_t kMaxParts = 16;
constexpr int64_t kMinPart = 1 << 12;  // elements

struct Work {
  const GradientKernels& kernels;
  GradientRows all;
  int64_t parts;
  const float* scale = nullptr;
  float epsilon = 0.0f;
  std::vector<float> sums = {};  // for each part the gradient of the scale, then that of the bias

  GradientRows part(size_t index) const {
    const auto number = static_cast<int64_t>(index);
    const int64_t first = all.rows * number / parts, last = all.rows * (number + 1) / parts;
    const int64_t at = first * all.channels;
    return {all.x + at, all.gradient + at, all.x_gradient + at, last - first, all.channels};
  }
};

void normalization_task(void* data, size_t index) {
  Work& work = *static_cast<Work*>(data);
  float* sums = &work.sums[index * 2 * static_cast<size_t>(work.all.channels)];
  work.kernels.layer_normalization(work.part(index), work.scale, work.epsilon, sums, sums + work.all.channels);
}

void softmax_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  work.kernels.softmax(work.part(index));
}

// Reads `x` and its gradient, which must have the same shape, and allocates an output of this shape.
OrtStatus* read_rows(const OrtApi& api, OrtKernelContext* context, size_t gradient_input, Work& work) {
  InputTensor x, gradient;
  if (OrtStatus* status = read_input(api, context, 0, x)) return status;
  if (OrtStatus* status = read_input(api, context, gradient_input, gradient)) return status;
  if (x.rank < 1 || x.rank != gradient.rank || !std::equal(x.dims, x.dims + x.rank, gradient.dims))
    return api.createStatus(kInvalidArgument, "a gradient has a different shape than its value");
  const int64_t total = x.count(), channels = x.dims[x.rank - 1];
  float* out = nullptr;
  if (OrtStatus* status = make_output(api, context, 0, x.dims, x.rank, &out)) return status;
  work.all = {static_cast<const float*>(x.data), static_cast<const float*>(gradient.data), out,
              channels > 0 ? total / channels : 0, channels};
  // An empty tensor is split into zero parts.
  work.parts = std::min(std::clamp<int64_t>(total / kMinPart, 1, kMaxParts), work.all.rows);
  return nullptr;
}

OrtStatus* compute_softmax(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  Work work{kernel.kernels.gradients, {}, 1};
  if (OrtStatus* status = read_rows(kernel.api, context, 1, work)) return status;
  return run_parts(kernel.api, context, work, work.parts, softmax_task);
}

OrtStatus* compute_normalization(void* data, OrtKernelContext* context) {
  enum Input { kX, kScale, kEpsilon, kGradient };
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  const OrtApi& api = kernel.api;
  Work work{kernel.kernels.gradients, {}, 1};
  InputTensor scale, epsilon;
  if (OrtStatus* status = read_rows(api, context, kGradient, work)) return status;
  if (OrtStatus* status = read_input(api, context, kScale, scale)) return status;
  if (OrtStatus* status = read_input(api, context, kEpsilon, epsilon)) return status;
  const int64_t channels = work.all.channels;
  if (scale.count() != channels || epsilon.count() != 1)
    return api.createStatus(kInvalidArgument, "LayerNormalizationGradient: the scale does not fit the channels");
  work.scale = static_cast<const float*>(scale.data);
  work.epsilon = *static_cast<const float*>(epsilon.data);
  float *scale_gradient = nullptr, *bias_gradient = nullptr;
  if (OrtStatus* status = make_output(api, context, 1, &channels, 1, &scale_gradient)) return status;
  if (OrtStatus* status = make_output(api, context, 2, &channels, 1, &bias_gradient)) return status;
  const auto width = static_cast<size_t>(channels), parts = static_cast<size_t>(work.parts);
  work.sums.assign(parts * 2 * width, 0.0f);
  if (OrtStatus* status = run_parts(api, context, work, work.parts, normalization_task)) return status;
  for (size_t c = 0; c < width; c++) {
    scale_gradient[c] = bias_gradient[c] = 0.0f;
    for (size_t part = 0; part < parts; part++) {
      scale_gradient[c] += work.sums[part * 2 * width + c];
      bias_gradient[c] += work.sums[part * 2 * width + width + c];
    }
  }
  return nullptr;
}

OrtCustomOp describe_normalization() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kLayerNormalizationGradient; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 4; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 3; };
  op.KernelComputeV2 = guarded<OperatorKernel, compute_normalization>;
  return op;
}

OrtCustomOp describe_softmax() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kSoftmaxGradient; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 2; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.KernelComputeV2 = guarded<OperatorKernel, compute_softmax>;
  return op;
}

}  // namespace

OrtStatus* add_row_gradients(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_normalization(), describe_softmax()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
