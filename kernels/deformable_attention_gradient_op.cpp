// The custom operator of the gradient of deformable attention: checks the tensors and shares out the heads.
#include <algorithm>

#include "cpu_path.h"
#include "deformable_attention_op.h"
#include "op_tensor.h"

namespace dino8 {
namespace {

enum Output { kValueGradient, kOffsetGradient, kLogitGradient, kOutputs };

struct Kernel {
  OrtApi api;
  const GradientKernels& gradients;
};

struct Work {
  DeformableAttentionGradient gradient;
  const GradientKernels& kernels;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const auto task = static_cast<int64_t>(index);
  const int64_t heads = work.gradient.forward.heads;
  work.kernels.deformable_attention_head(work.gradient, task / heads, task % heads);
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const Kernel& kernel = *static_cast<const Kernel*>(data);
  const OrtApi& api = kernel.api;
  InputTensor in[kAttentionInputs], gradient;
  for (size_t index = 0; index < kAttentionInputs; index++)
    if (OrtStatus* status = read_input(api, context, index, in[index])) return status;
  if (OrtStatus* status = read_input(api, context, kAttentionInputs, gradient)) return status;
  Work work{{}, kernel.gradients};
  DeformableAttention& a = work.gradient.forward;
  a.value_type = ValueType::kFloat;
  if (const char* problem = describe_attention(in, a)) return api.createStatus(kInvalidArgument, problem);
  const int64_t expected[] = {a.batch, a.queries, a.heads * a.size};
  if (gradient.rank != 3 || !std::equal(expected, expected + 3, gradient.dims))
    return api.createStatus(kInvalidArgument, "MultiScaleDeformableAttention: the gradient has the wrong shape");
  work.gradient.output_gradient = static_cast<const float*>(gradient.data);

  const auto make = [&](size_t output, const InputTensor& like, float** out) {
    return make_output(api, context, output, like.dims, like.rank, out);
  };
  if (OrtStatus* status = make(kValueGradient, in[kValue], &work.gradient.value_gradient)) return status;
  if (OrtStatus* status = make(kOffsetGradient, in[kSamplingOffsets], &work.gradient.offset_gradient)) return status;
  if (OrtStatus* status = make(kLogitGradient, in[kAttentionLogits], &work.gradient.logit_gradient)) return status;
  const int64_t tasks = a.batch * a.heads;
  return tasks == 0 ? nullptr : api.parallelFor(context, run_task, static_cast<size_t>(tasks), &work);
}

OrtStatus* create(const OrtCustomOp*, const void* api, const OrtKernelInfo*, void** kernel) {
  *kernel = new Kernel{{static_cast<const void* const*>(api)}, choose_cpu_path().gradients};
  return nullptr;
}

OrtCustomOp describe_op() {
  OrtCustomOp op{};
  describe_cpu_operator<Kernel>(op);
  op.GetName = [](const OrtCustomOp*) {
    return "MultiScaleDeformableAttentionGradient_value_sampling_offsets_attention_logits";
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kAttentionInputs + 1; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    return index == kSpatialShapes ? kInt64Element : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return kOutputs; };
  op.GetOutputType = [](const OrtCustomOp*, size_t) { return kFloatElement; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  return op;
}

}  // namespace

OrtStatus* add_deformable_attention_gradient(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
