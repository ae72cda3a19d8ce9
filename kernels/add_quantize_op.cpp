// The custom operator that quantizes the sum of two tensors in one pass.
#include "add_quantize_op.h"

#include <algorithm>
#include <string>

#include "cpu_operator.h"
#include "quantized_output.h"
#include "row_broadcast.h"

namespace dino8 {
namespace {

enum Input { kA, kB, kScale, kZeroPoint, kInputs };

// Enough numbers to be worth a task, and few enough that a part of both tensors and of the results fits the caches.
constexpr int64_t kNumbersPerTask = 1 << 15;

struct Work {
  const LinearBlockKernels& kernels;
  const float *a, *b;
  Results results;
  RowBroadcast sum;
  bool is_broadcast;
  int64_t rows, columns, rows_per_task;

  void add(int64_t a_row, int64_t b_row, int64_t row, int64_t count) const {
    kernels.add_quantize(a + a_row * columns, b + b_row * columns, count * columns, results.range,
                         results.floats ? results.floats + row * columns : nullptr, results.bytes + row * columns);
  }
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  const int64_t end = std::min(begin + work.rows_per_task, work.rows);
  if (!work.is_broadcast) return work.add(begin, begin, begin, end - begin);
  for (int64_t row = begin; row < end; row++) work.add(work.sum.row_of(0, row), work.sum.row_of(1, row), row, 1);
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kInputs];
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  const InputTensor &a = in[kA], &b = in[kB];
  if (a.rank < 1 || b.rank < 1 || a.dims[a.rank - 1] != b.dims[b.rank - 1])
    return invalid("AddQuantized: the two tensors have different last dimensions");
  Work work{kernel.kernels.linear_block, static_cast<const float*>(a.data), static_cast<const float*>(b.data), {}, {},
            a.rank != b.rank || !std::equal(a.dims, a.dims + a.rank, b.dims), 0, a.dims[a.rank - 1], 0};
  if (!work.sum.set({a, b})) return invalid("AddQuantized: the shapes of the two tensors do not fit");
  if (OrtStatus* status =
          make_results(kernel.api, context, in + kScale, work.sum.dims, work.sum.rank, work.results))
    return status;
  work.rows = work.columns > 0 ? work.sum.rows() : 0;
  work.rows_per_task = std::max<int64_t>(1, kNumbersPerTask / std::max<int64_t>(1, work.columns));
  const int64_t tasks = (work.rows + work.rows_per_task - 1) / work.rows_per_task;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

}  // namespace

OrtStatus* add_add_quantized(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = [] {
    OrtCustomOp sum = describe_cpu_operator();
    sum.GetName = [](const OrtCustomOp*) {
      static const std::string name = std::string(kAdd) + kQuantized;
      return name.c_str();
    };
    sum.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kInputs; };
    sum.GetInputType = [](const OrtCustomOp*, size_t index) {
      return index == kZeroPoint ? kUint8Element : kFloatElement;
    };
    describe_quantized(sum);
    sum.KernelComputeV2 = guarded<OperatorKernel, compute>;
    return sum;
  }();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
