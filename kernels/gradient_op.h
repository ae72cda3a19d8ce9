// What the custom operators over `GradientKernels` have in common.
#pragma once

#include "cpu_path.h"
#include "op_tensor.h"

namespace dino8 {

struct GradientKernel {
  OrtApi api;
  const GradientKernels& gradients;
};

// An operator of floats throughout, but for its name, its numbers of inputs and outputs, and what it computes.
inline OrtCustomOp describe_gradient_op() {
  OrtCustomOp op{};
  describe_cpu_operator<GradientKernel>(op);
  op.GetInputType = op.GetOutputType = [](const OrtCustomOp*, size_t) { return kFloatElement; };
  op.CreateKernelV2 = [](const OrtCustomOp*, const void* api, const OrtKernelInfo*, void** kernel) -> OrtStatus* {
    *kernel = new GradientKernel{{static_cast<const void* const*>(api)}, choose_cpu_path().gradients};
    return nullptr;
  };
  return op;
}

// Runs `task` for each of `parts` parts, on ONNX Runtime's threads if there are several.
template <class Work>
OrtStatus* share_out(const OrtApi& api, OrtKernelContext* context, Work& work, int64_t parts,
                     void (*task)(void*, size_t)) {
  if (parts > 1) return api.parallelFor(context, task, static_cast<size_t>(parts), &work);
  if (parts == 1) task(&work, 0);
  return nullptr;
}

}  // namespace dino8
