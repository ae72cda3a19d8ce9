// The common part of all custom operators: they run on the CPU, and their inputs and outputs are required
// unless the operator says otherwise (quantized_output.h).
#pragma once

#include <atomic>
#include <exception>

#include "cpu_path.h"
#include "op_tensor.h"
#include "operator_names.h"
#ifdef DINO8_TASK_RECORDER
#include DINO8_TASK_RECORDER  // bench/threads.mjs builds a library that measures each part
#endif

namespace dino8 {

// No exception may pass through ONNX Runtime. The kernels throw none but those of memory that is not there.
inline OrtStatus* no_memory(const OrtApi& api) {
  return api.createStatus(kFail, "a dino8 operator: there is not enough memory");
}

// Returns what `compute` returns or, if it throws an exception, what `otherwise` does. Where programs have no exceptions, as in
// WebAssembly, memory that is not there ends the program.
template <class Compute, class Otherwise>
auto caught(Compute compute, [[maybe_unused]] Otherwise otherwise) {
#if defined(__cpp_exceptions)
  try {
    return compute();
  } catch (const std::exception&) {
    return otherwise();
  }
#else
  return compute();
#endif
}

// `compute` as ONNX Runtime calls it; `Kernel` is the type of a node's state, and has the functions of ONNX Runtime as `api`.
template <class Kernel, OrtStatus* (*compute)(void*, OrtKernelContext*)>
OrtStatus* guarded(void* kernel, OrtKernelContext* context) {
  return caught([&] { return compute(kernel, context); },
                [&] { return no_memory(static_cast<const Kernel*>(kernel)->api); });
}

// `create` as ONNX Runtime calls it.
template <OrtStatus* (*create)(const OrtCustomOp*, const void*, const OrtKernelInfo*, void**)>
OrtStatus* guarded_create(const OrtCustomOp* op, const void* table, const OrtKernelInfo* node, void** kernel) {
  return caught([&] { return create(op, table, node, kernel); },
                [&] { return no_memory(OrtApi{static_cast<const void* const*>(table)}); });
}

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
  op.version = kOperatorVersion;
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return "CPUExecutionProvider"; };
  op.GetInputType = op.GetOutputType = [](const OrtCustomOp*, size_t) { return kFloatElement; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return kRequired; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return kRequired; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return kMemTypeDefault; };
  op.CreateKernelV2 = guarded_create<create_kernel>;
  op.KernelDestroy = [](void* kernel) { delete static_cast<OperatorKernel*>(kernel); };
  return op;
}

// The same for an operator with a state of its own, of the type `Kernel`, which `create` makes.
template <class Kernel, OrtStatus* (*create)(const OrtCustomOp*, const void*, const OrtKernelInfo*, void**),
          OrtStatus* (*compute)(void*, OrtKernelContext*)>
OrtCustomOp describe_cpu_operator() {
  OrtCustomOp op = describe_cpu_operator();
  op.CreateKernelV2 = guarded_create<create>;
  op.KernelComputeV2 = guarded<Kernel, compute>;
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

// Allows ONNX Runtime to give an operator the memory of `input`, which nothing reads later, for the result `output`.
template <int input, int output>
void may_overwrite(OrtCustomOp& op) {
  op.GetMayInplace = [](int** inputs, int** outputs) -> size_t {
    static int from = input, to = output;
    *inputs = &from, *outputs = &to;
    return 1;
  };
  op.ReleaseMayInplace = [](int*, int*) {};
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
  // An exception would end the process if it left a task on one of ONNX Runtime's threads.
  struct Parts {
    Work& work;
    void (*task)(void*, size_t);
    std::atomic<bool> has_failed{false};

    static void run(void* data, size_t part) {
      Parts& all = *static_cast<Parts*>(data);
      caught([&] { all.task(&all.work, part); }, [&] { all.has_failed = true; });
    }
  } all{work, task};
  if (parts == 1) Parts::run(&all, 0);
  if (parts > 1)
    if (OrtStatus* status = api.parallelFor(context, Parts::run, static_cast<size_t>(parts), &all)) return status;
  return all.has_failed ? no_memory(api) : nullptr;
}

}  // namespace dino8
