// The common part of all custom operators: they run on the CPU, and all their inputs and outputs are required.
#pragma once

#include "cpu_path.h"
#include "op_tensor.h"
#include "operator_names.h"
#ifdef DINO8_TASK_RECORDER
#include DINO8_TASK_RECORDER  // bench/threads.mjs builds a library that measures each part
#endif

namespace dino8 {

// The state of one node of a session: ONNX Runtime's functions and the kernels of the chosen instruction set.
struct OperatorKernel {
  OrtApi api;
  const CpuKernels& kernels;
};

inline OrtStatus* create_kernel(const OrtCustomOp*, const void* table, const OrtKernelInfo*, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  *kernel = new OperatorKernel{api, *path->kernels};
  return nullptr;
}

// An operator whose inputs and outputs are all floats. The caller adds the name, the numbers of inputs and outputs, the
// computation and, where there are other element types, `GetInputType` and `GetOutputType`.
inline OrtCustomOp describe_cpu_operator() {
  OrtCustomOp op{};
  op.version = kApiVersion - 1;  // the newest version in which every callback that is not set here is optional
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return "CPUExecutionProvider"; };
  op.GetInputType = op.GetOutputType = [](const OrtCustomOp*, size_t) { return kFloatElement; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return kRequired; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return kRequired; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return kMemTypeDefault; };
  op.CreateKernelV2 = create_kernel;
  op.KernelDestroy = [](void* kernel) { delete static_cast<OperatorKernel*>(kernel); };
  return op;
}

// Runs `task(&work, part)` for each of `parts` parts: on ONNX Runtime's threads if there are several parts, on the
// calling thread if there is one.
template <class Work>
OrtStatus* run_parts(const OrtApi& api, OrtKernelContext* context, Work& work, int64_t parts,
                     void (*task)(void*, size_t)) {
#ifdef DINO8_TASK_RECORDER
  if (parts > 0) record_parts(&work, parts, task);
  return nullptr;
#endif
  if (parts > 1) return api.parallelFor(context, task, static_cast<size_t>(parts), &work);
  if (parts == 1) task(&work, 0);
  return nullptr;
}

}  // namespace dino8
