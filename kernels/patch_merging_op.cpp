// The custom operator of the merging of patches: it checks the tensors, prepares the constants once for a session, and splits the
// positions among ONNX Runtime's threads. src/quant/targets/ort-cpu/patch-merging-function.ts describes it.
#include "patch_merging_op.h"

#include <algorithm>
#include <utility>

#include "cpu_operator.h"
#include "prepared_layer.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

constexpr size_t kX = 0, kNormScale = 6, kNormBias = 7, kInputs = 8;
constexpr LayerInputs kLayer = layer_at(1);

struct PatchMergingKernel {
  OrtApi api;
  const CpuKernels& kernels;
  PreparedLayer layer;
  float norm_epsilon;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  PreparedLayer layer;
  if (OrtStatus* status = read_layer(api, node, kLayer, layer)) return status;
  float epsilon = 0;
  if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  *kernel = new PatchMergingKernel{api, *path->kernels, std::move(layer), epsilon};
  return nullptr;
}

struct Work {
  PatchMerging merging;
  PatchMergingRange run;
  int64_t positions_per_task;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.positions_per_task;
  work.run(work.merging, begin, std::min(begin + work.positions_per_task, work.merging.positions()));
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const PatchMergingKernel& kernel = *static_cast<const PatchMergingKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kInputs];
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun layer;
  if (const char* problem = start_layer(kernel.layer, in, kLayer, layer)) return invalid(problem);
  const InputTensor& x = in[kX];
  if (x.rank != 4 || x.dims[3] != kernel.layer.depth / 4)
    return invalid("PatchMerging: x is no map of a quarter of the weight's rows as channels");
  if (in[kNormScale].count() != kernel.layer.depth || in[kNormBias].count() != kernel.layer.depth)
    return invalid("PatchMerging: scale or bias of the normalization have another size than four neighbours");
  Work work{{}, kernel.kernels.patch_merging, 0};
  PatchMerging& m = work.merging;
  m.x = static_cast<const float*>(x.data);
  m.batch = x.dims[0], m.height = x.dims[1], m.width = x.dims[2], m.channels = x.dims[3];
  m.norm_scale = static_cast<const float*>(in[kNormScale].data);
  m.norm_bias = static_cast<const float*>(in[kNormBias].data);
  m.norm_epsilon = kernel.norm_epsilon;
  m.input = layer.input, m.layer = layer.packed;
  const int64_t dims[] = {m.batch, m.rows(), m.columns(), m.layer.columns};
  if (OrtStatus* status = make_output(kernel.api, context, 0, dims, x.rank, &m.y)) return status;
  if (has_zero(x.dims, x.rank)) return nullptr;
  work.positions_per_task = rows_per_task(m.positions(), kernel.kernels.linear_block.rows_at_a_time);
  const int64_t tasks = (m.positions() + work.positions_per_task - 1) / work.positions_per_task;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<PatchMergingKernel, create, compute>();
  op.GetName = [](const OrtCustomOp*) { return kPatchMerging; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return kInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    if (index == kLayer.weight) return kInt8Element;
    return index == kLayer.zero_point ? kUint8Element : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  return op;
}

}  // namespace

OrtStatus* add_patch_merging(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
