// The custom operator for the gradient of deformable attention: it checks the tensors and runs one task for each head.
#include <algorithm>

#include "cpu_operator.h"
#include "deformable_attention_op.h"

namespace dino8 {
namespace {

enum Output { kValueGradient, kOffsetGradient, kLogitGradient, kOutputs };

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
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  const OrtApi& api = kernel.api;
  InputTensor in[kAttentionInputs], gradient;
  for (size_t index = 0; index < kAttentionInputs; index++)
    if (OrtStatus* status = read_input(api, context, index, in[index])) return status;
  if (OrtStatus* status = read_input(api, context, kAttentionInputs, gradient)) return status;
  Work work{{}, kernel.kernels.gradients};
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
  // Without a value and without a query there is nothing to write, however many heads there are.
  const bool is_empty = in[kValue].count() == 0 && in[kAttentionLogits].count() == 0;
  return run_parts(api, context, work, is_empty ? 0 : a.batch * a.heads, run_task);
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kDeformableAttentionGradient; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kAttentionInputs + 1; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    return index == kSpatialShapes ? kInt64Element : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return kOutputs; };
  op.KernelComputeV2 = guarded<OperatorKernel, compute>;
  return op;
}

}  // namespace

OrtStatus* add_deformable_attention_gradient(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
